// The loss of the run on show, live: every step, and the validations.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { steps, validations } from "./state.ts";

const HEIGHT = 260;

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Computed colours: a canvas knows no CSS variables, and no light-dark(). */
function resolve(name: string): string {
  const probe = document.createElement("span");
  probe.style.color = colour(name);
  document.body.append(probe);
  const resolved = getComputedStyle(probe).color;
  probe.remove();
  return resolved;
}

function data(): uPlot.AlignedData {
  const valid = new Map(validations.value.map(({ step, loss }) => [step, loss]));
  return [
    steps.value.map(({ step }) => step),
    steps.value.map(({ loss }) => loss),
    steps.value.map(({ step }) => valid.get(step) ?? null),
  ];
}

export function LossChart() {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  useEffect(() => {
    const host = place.current!;
    const ink = resolve("--soft");
    const axis = { stroke: ink, grid: { stroke: resolve("--line"), width: 1 }, ticks: { show: false } };
    const plot = new uPlot(
      {
        width: host.clientWidth,
        height: HEIGHT,
        scales: { x: { time: false } },
        axes: [
          { ...axis, label: "step" },
          { ...axis, label: "loss, nats a token" },
        ],
        series: [
          { label: "step" },
          { label: "training", stroke: resolve("--accent"), width: 2, points: { show: false } },
          {
            label: "validation",
            stroke: resolve("--warn"),
            width: 0,
            points: { show: true, size: 8, fill: resolve("--warn") },
          },
        ],
      },
      data(),
      host,
    );
    chart.current = plot;
    const observer = new ResizeObserver(() => plot.setSize({ width: host.clientWidth, height: HEIGHT }));
    observer.observe(host);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, []);
  const points = data();
  useEffect(() => chart.current?.setData(points));
  return <div ref={place} role="img" aria-label={`Loss over ${steps.value.length} steps`} />;
}
