/**
 * A browser opens six connections to one origin over HTTP/1.1, and a stream holds one for good:
 * the seventh tab would hang. The tabs agree by broadcast: the newest few stream, older ones poll.
 */
const MAX_STREAMS = 3;

export class StreamTurn {
  private readonly channel =
    typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel('watchfire-streams');
  private readonly me = crypto.getRandomValues(new Uint32Array(2)).join('-');
  private readonly newer = new Set<string>();
  private held = false;

  /** `lost` is called when newer tabs have taken this tab's turn. */
  constructor(lost: () => void) {
    this.channel?.addEventListener('message', ({ data }) => {
      const { id, claims } = data as { id: string; claims: boolean };
      if (claims) this.newer.add(id);
      else this.newer.delete(id);
      if (this.held && this.newer.size >= MAX_STREAMS) {
        this.held = false;
        lost();
      }
    });
    window.addEventListener('pagehide', () => this.release());
  }

  /** Takes a turn: this tab is now the newest. */
  claim(): void {
    this.newer.clear();
    this.held = true;
    this.channel?.postMessage({ id: this.me, claims: true });
  }

  release(): void {
    if (!this.held) return;
    this.held = false;
    this.channel?.postMessage({ id: this.me, claims: false });
  }
}
