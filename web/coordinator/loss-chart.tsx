// The loss of the run on show, live: every step, and the validations.
import { useSignalEffect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import "./loss-chart.css";
import { results } from "./state.ts";

const HEIGHT = 260;

/** The theme's colour as a canvas needs it: without variables and light-dark(). */
function themeColour(host: HTMLElement, name: string): string {
  host.style.color = `var(${name})`;
  return getComputedStyle(host).color;
}

function chartData(): uPlot.AlignedData {
  const { steps, validations } = results.value;
  const valid = new Map(validations.map(({ step, loss }) => [step, loss]));
  return [
    steps.map(({ step }) => step),
    steps.map(({ loss }) => loss),
    steps.map(({ step }) => valid.get(step) ?? null),
  ];
}

function createChart(host: HTMLElement, onPoint: (index: number | null) => void): uPlot {
  const colour = (name: string) => () => themeColour(host, name);
  const axis: uPlot.Axis = {
    stroke: colour("--soft"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
  };
  return new uPlot(
    {
      width: host.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 7 } },
      scales: { x: { time: false } },
      axes: [
        {
          ...axis,
          size: 28,
          incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000],
        },
        { ...axis, size: 44 },
      ],
      series: [
        {},
        { stroke: colour("--accent"), width: 2, points: { show: false } },
        {
          stroke: colour("--warn"),
          paths: () => null,
          points: { show: true, size: 8, stroke: colour("--warn"), fill: colour("--warn") },
        },
      ],
      hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
    },
    chartData(),
    host,
  );
}

export function LossChart() {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  useEffect(() => {
    const plot = createChart(host.current!, setPointed);
    chart.current = plot;
    const observer = new ResizeObserver(([entry]) => {
      plot.setSize({ width: entry!.contentRect.width, height: HEIGHT });
    });
    observer.observe(host.current!);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => plot.redraw();
    dark.addEventListener("change", redraw);
    return () => {
      dark.removeEventListener("change", redraw);
      observer.disconnect();
      plot.destroy();
    };
  }, []);
  useSignalEffect(() => chart.current?.setData(chartData()));
  return (
    <figure class="loss-chart">
      <Legend index={pointed} />
      <div ref={host} />
    </figure>
  );
}

/** Values at the step that is pointed at, else the latest ones. */
function Legend({ index }: { readonly index: number | null }) {
  const { steps, validations } = results.value;
  const step = steps[index ?? steps.length - 1];
  const valid = index === null ? validations.at(-1) : validations.find((event) => event.step === step?.step);
  return (
    <figcaption class="row">
      <span class="soft">Loss, nats per token{step && `, step ${step.step}`}</span>
      <span class="training">training {step?.loss.toFixed(4) ?? "–"}</span>
      <span class="validation">validation {valid?.loss.toFixed(4) ?? "–"}</span>
    </figcaption>
  );
}
