import { useEffect, useRef } from 'preact/hooks';

/** Runbooks of the shipped rules are a path of the project; their text is served beside the page. */
const SHIPPED = /^(?:.*\/)?docs\/runbook\.md(#.*)?$/;
const LINK = /^https?:\/\//;

let pages: Promise<Document> | undefined;

/** Where a runbook can be read, or nothing for what is no address. */
export function runbookUrl(text: string): string | undefined {
  const shipped = SHIPPED.exec(text);
  if (shipped) return `runbook.html${shipped[1] ?? ''}`;
  return LINK.test(text) ? text : undefined;
}

/** The section of the shipped runbook that an alert names; nothing for other runbooks. */
export function RunbookText({ url }: { url: string }) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const id = /^runbook\.html#(.+)$/.exec(url)?.[1];
    if (!id) return;
    pages ??= load();
    pages
      .then((page) => {
        const section = page.getElementById(id)?.parentElement;
        const parts = [...(section?.children ?? [])].filter((part) => part.id !== id);
        // Links between sections lead to the runbook's own page.
        host.current?.replaceChildren(...parts.map((part) => document.importNode(part, true)));
      })
      .catch(() => (pages = undefined));
  }, [url]);
  return <div class="runbook-text" ref={host} />;
}

async function load(): Promise<Document> {
  const response = await fetch('runbook.html');
  if (!response.ok) throw new Error(`runbook.html answered ${response.status}`);
  return new DOMParser().parseFromString(await response.text(), 'text/html');
}
