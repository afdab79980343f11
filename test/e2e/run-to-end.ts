// A run followed to its end, in the server's own process.
import { onTestFailed } from "vitest";
import type { RunEvent } from "../../core/protocol/events.ts";
import type { Coordinator } from "../../server/coordinator-port.ts";

/** Every event of the next run of this coordinator, to its end; `onEvent` hears each as it comes. */
export async function eventsUntilEnd(
  coordinator: Coordinator,
  onEvent: (event: RunEvent) => void = () => {},
): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  onTestFailed(() => console.error(JSON.stringify({ events, server: coordinator.snapshot() })));
  await new Promise<void>((resolve) => {
    const unsubscribe = coordinator.subscribe((update) => {
      if (update.type !== "event") return;
      events.push(update.event);
      onEvent(update.event);
      if (!["done", "failed", "stopped"].includes(update.event.event)) return;
      unsubscribe();
      resolve();
    });
  });
  return events;
}
