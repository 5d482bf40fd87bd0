import { signal } from '@preact/signals';

export type Theme = 'light' | 'dark';

const KEY = 'watchfire-theme';
const dark = window.matchMedia('(prefers-color-scheme: dark)');

/** A browser without storage (or with it forbidden) simply does not remember the choice. */
function stored(): Theme | undefined {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : undefined;
  } catch {
    return undefined;
  }
}

const system = (): Theme => (dark.matches ? 'dark' : 'light');

export const theme = signal<Theme>(stored() ?? system());

function apply(next: Theme): void {
  document.documentElement.dataset['theme'] = next;
  theme.value = next;
}

/** Follows the system until the person chooses, and follows it again once both agree. */
export function toggleTheme(): void {
  const next = theme.value === 'dark' ? 'light' : 'dark';
  try {
    if (next === system()) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    /* not remembered */
  }
  apply(next);
}

apply(theme.value);
dark.addEventListener('change', () => apply(stored() ?? system()));

/** Colours of lines: Okabe and Ito's palette, in the order that keeps 3:1 on the page's ground. */
const LINES: Record<Theme, string[]> = {
  light: ['#0072b2', '#d55e00', '#009e73', '#a8508a', '#8a6100', '#1a1f26', '#3d8fc4', '#b3472c'],
  dark: ['#56b4e9', '#e69f00', '#009e73', '#cc79a7', '#f0e442', '#d55e00', '#d7dde4', '#4a9fd8'],
};

/** Dash patterns beside the colours, in CSS pixels. */
const DASHES: number[][] = [[], [6, 3], [2, 2], [9, 3, 2, 3], [4, 4], [12, 4], [1, 3], [6, 2, 1, 2, 1, 2]];

export interface Ink {
  colour: string;
  dash: number[];
}

export function ink(slot: number): Ink {
  const colours = LINES[theme.value];
  return {
    colour: colours[slot % colours.length] as string,
    dash: DASHES[slot % DASHES.length] as number[],
  };
}

export interface Ground {
  grid: string;
  text: string;
  surface: string;
}

const GROUND: Record<Theme, Ground> = {
  light: { grid: '#e7eaee', text: '#5a6572', surface: '#ffffff' },
  dark: { grid: '#232a33', text: '#98a3b0', surface: '#14181e' },
};

export const ground = (): Ground => GROUND[theme.value];
