import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { askData } from '../source/access';
import { source } from './state';

/** Asks the daemon again and again while the component is shown: the last good answer, and why there is no newer one. */
export function usePoll<T>(path: string, everyMs: number): { data: T | undefined; trouble: string } {
  const data = useSignal<T | undefined>(undefined);
  const trouble = useSignal('');
  useEffect(() => {
    const stop = new AbortController();
    const look = async (): Promise<void> => {
      if (document.hidden || (source.paused.value && data.value)) return;
      await askData<T>(path, { signal: stop.signal, cache: 'no-store' }).then(
        (found) => {
          if (stop.signal.aborted) return;
          [data.value, trouble.value] = [found, ''];
        },
        (error: Error) => {
          if (!stop.signal.aborted) trouble.value = error.message;
        },
      );
    };
    void look();
    const timer = window.setInterval(() => void look(), everyMs);
    return () => {
      stop.abort();
      window.clearInterval(timer);
    };
  }, [path]);
  return { data: data.value, trouble: trouble.value };
}
