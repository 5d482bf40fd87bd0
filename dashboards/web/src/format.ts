import type { Unit } from './data/panels';

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** What one of a unit's multiples is worth. */
const SCALE: Record<string, number> = {
  ...Object.fromEntries(BINARY.map((word, power) => [word, 1024 ** power])),
  s: 1, ms: 1e-3, 'µs': 1e-6,
};

/** What a worker says it does, by the number that its query makes of it. */
const STATUS = ['idle', 'running', 'paused'];

/** Three significant digits, so that a moving number keeps its width; whole numbers stay whole. */
function digits(value: number): string {
  const size = Math.abs(value);
  const places = size >= 99.95 || Number.isInteger(value) ? 0 : size >= 9.995 ? 1 : 2;
  return value.toFixed(places).replace('-', '−');
}

function bytes(value: number): string {
  let power = 0;
  let rest = value;
  while (Math.abs(rest) >= 1000 && power < BINARY.length - 1) {
    rest /= 1024;
    power += 1;
  }
  return `${power ? digits(rest) : Math.round(rest)} ${BINARY[power]}`;
}

function seconds(value: number): string {
  const size = Math.abs(value);
  if (size >= 1 || size === 0) return `${digits(value)} s`;
  if (size >= 1e-3) return `${digits(value * 1e3)} ms`;
  return `${digits(value * 1e6)} µs`;
}

function large(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${digits(value / 1e9)}G`;
  if (size >= 1e6) return `${digits(value / 1e6)}M`;
  if (size >= 1e4) return `${digits(value / 1e3)}k`;
  return digits(value);
}

/** A value with its unit, as a person reads it; the unit comes after the last space. */
export function format(value: number | undefined, unit: Unit): string {
  if (value === undefined || Number.isNaN(value)) return '–';
  switch (unit) {
    case 'status':
      return STATUS[value] ?? '–';
    case 'yes':
      return value ? 'yes' : 'no';
    case 'age':
      return duration(value);
    case 'ratio':
      return `${digits(value * 100)} %`;
    case 'bytes':
      return bytes(value);
    case 'bytes/s':
      return `${bytes(value)}/s`;
    case 'seconds':
      return seconds(value);
    case 'celsius':
      return `${digits(value)} °C`;
    case 'watts':
      return `${digits(value)} W`;
    case 'tokens/s':
      return `${large(value)} tok/s`;
    case 'requests/s':
      return `${large(value)} req/s`;
    case 'cores':
      return `${digits(value)} cores`;
    case 'load':
    case 'named':
    case 'count':
      return large(value);
  }
}

/** A value at an axis: the title has the unit, only bytes, shares and times carry their own, all that of the `top`. */
export function axisText(value: number, unit: Unit, top = value): string {
  if (value === 0) return '0';
  const own = unit === 'ratio' || unit === 'bytes' || unit === 'bytes/s' || unit === 'seconds';
  const [, word = ''] = own ? format(top, unit).replace('/s', '').split(' ') : [];
  const scale = SCALE[word];
  const text = scale ? `${digits(value / scale)} ${word}` : own ? format(value, unit) : large(value);
  return text.replace(/(\.\d*?)0+(?!\d)/, '$1').replace(/\.(?!\d)/, '');
}

/** What stands in a chart's title beside its name. */
export const UNIT_WORD: Record<Unit, string> = {
  ratio: '%',
  bytes: 'bytes',
  'bytes/s': 'bytes/s',
  seconds: 'time',
  'tokens/s': 'tokens/s',
  celsius: '°C',
  watts: 'W',
  count: 'count',
  cores: 'cores',
  load: 'tasks',
  'requests/s': 'requests/s',
  yes: '',
  status: '',
  age: '',
  named: '',
};

/** Names that end in their unit, the longer endings first. */
const ENDINGS: [string, Unit][] = [
  ['_bytes_per_second', 'bytes/s'], ['_tokens_per_second', 'tokens/s'], ['_ratio', 'ratio'], ['_bytes', 'bytes'], ['_watts', 'watts'],
  ['_celsius', 'celsius'], ['_seconds', 'seconds'],
];

/** The unit that a name ends in. */
export function unitOf(name: string): Unit {
  return ENDINGS.find(([ending]) => name.endsWith(ending))?.[1] ?? 'count';
}

/** A length of time in its two largest parts: `3 d 4 h`, `5 min`, `12 s`. */
export function duration(total: number): string {
  const s = Math.max(0, Math.floor(total));
  const parts: [number, string][] = [
    [Math.floor(s / 86400), 'd'],
    [Math.floor(s / 3600) % 24, 'h'],
    [Math.floor(s / 60) % 60, 'min'],
    [s % 60, 's'],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(' ');
}

const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});
const clockShort = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
});

export const clockTime = (atSeconds: number): string => clock.format(atSeconds * 1000);
export const clockMinute = (atSeconds: number): string => clockShort.format(atSeconds * 1000);
