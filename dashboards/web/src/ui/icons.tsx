const PATHS = {
  copy: 'M5 5V2.5h8.5V11H11M2.5 5H11v8.5H2.5z',
  table: 'M2 3h12v10H2zM2 6.5h12M2 9.8h12M6.5 3v10',
  line: 'M2 12l4-5 3 3 5-7',
  sun: 'M8 5a3 3 0 100 6 3 3 0 000-6zM8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.4 1.4M11.6 11.6L13 13M3 13l1.4-1.4M11.6 4.4L13 3',
  moon: 'M13.5 9.5A6 6 0 016.5 2.5a6 6 0 107 7z',
  pause: 'M5 3v10M11 3v10',
  play: 'M4.5 2.5l8 5.5-8 5.5z',
  critical: 'M8 1.5l6.5 6.5L8 14.5 1.5 8zM8 5v3.6M8 10.6v.6',
  warning: 'M8 2l6.5 11.5h-13zM8 6.5v3.3M8 11.4v.5',
  info: 'M8 1.5a6.5 6.5 0 100 13 6.5 6.5 0 000-13zM8 7.3v4M8 4.8v.6',
  ok: 'M2.5 8.5l3.5 3.5 7.5-8',
  book: 'M2.5 3c2-1 4-1 5.5.3C9.5 2 11.5 2 13.5 3v10c-2-1-4-1-5.5.3C6.5 12 4.5 12 2.5 13zM8 3.3v10',
  chevron: 'M5.5 3l5 5-5 5',
} as const;

export type IconName = keyof typeof PATHS;

/** A drawn sign beside a word; it says nothing that the word does not. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
