// The bar over a page: Tributary's mark, the page's name, and what stands beside it.
import type { ComponentChildren } from "preact";

export function PageBar({
  title,
  children,
}: {
  readonly title: string;
  readonly children: ComponentChildren;
}) {
  return (
    <header class="bar">
      <div class="inside">
        <h1>
          <svg
            width="22"
            height="22"
            viewBox="0 0 24 24"
            fill="none"
            stroke="currentColor"
            aria-hidden="true"
          >
            <path stroke-width="2.5" stroke-linecap="round" d="M3 4c9 0 3 8 18 8M3 12h18M3 20c9 0 3-8 18-8" />
          </svg>
          {title}
        </h1>
        {children}
      </div>
    </header>
  );
}
