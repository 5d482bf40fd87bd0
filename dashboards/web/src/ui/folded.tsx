import { useSignal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { Icon } from './icons';

/** A section that asks the daemon only while it is open. */
export function Lazy({ id, title, hint, body: Body }: { id: string; title: string; hint: string; body: ComponentType }) {
  const open = useSignal(false);
  return (
    <details class="section folded" id={id} onToggle={(e) => (open.value = e.currentTarget.open)}>
      <summary>
        <h2>
          <Icon name="chevron" />
          {title}
          <small>{hint}</small>
        </h2>
      </summary>
      {open.value && <Body />}
    </details>
  );
}

/** What stands where an answer will be, or why there is none. */
export function Wait({ trouble }: { trouble: string }) {
  return <p class="card note">{trouble ? <><strong>Not available</strong> {trouble}</> : 'Waiting for the first look.'}</p>;
}
