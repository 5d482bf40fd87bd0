import { signal } from '@preact/signals';

/** Whether the daemon answers this page: with a token file it wants the token with every request. */
export type Access = 'open' | 'asked' | 'refused';

const KEY = 'watchfire-token';

export const access = signal<Access>('open');
let token = remembered();

function remembered(): string {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

/** Uses this token from now on, for as long as the tab lives. */
export function useToken(text: string): void {
  token = text.trim();
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    /* not remembered */
  }
  access.value = 'open';
}

/**
 * Asks the daemon, with the token if there is one.
 * @throws Error with the daemon's own words when it does not answer 2xx.
 */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const sent = token;
  const headers = new Headers(init.headers);
  if (sent) headers.set('authorization', `Bearer ${sent}`);
  const response = await fetch(path, { ...init, headers });
  if (response.ok) return response;
  // An answer to an older token says nothing about this one.
  if (response.status === 401 && sent === token) access.value = sent ? 'refused' : 'asked';
  const { error } = (await response.json().catch(() => ({}))) as { error?: string };
  throw new Error(error ?? `${path.replace(/\?.*/, '')} answered ${response.status}`);
}

/** The `data` of an answer of the API. */
export async function askData<T>(path: string, init?: RequestInit): Promise<T> {
  const response = await ask(path, init);
  return ((await response.json()) as { data: T }).data;
}
