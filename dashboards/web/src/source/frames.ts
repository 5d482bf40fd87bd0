import { ask } from './access';

/** How often frames are told. */
const EVERY_MS = 1_000;
/** Frames of one report; a faster display tells of its first ones. */
const MOST = 600;
/** A daemon that refuses so often does not want to know. */
const MAX_REFUSALS = 3;

/** Measures how long the page's frames take and tells the daemon, whose rolling windows show it. */
export class FrameReport {
  private running = false;
  private refusals = 0;
  private seconds: number[] = [];
  private last = 0;
  private told = 0;

  start(): void {
    if (this.running || this.refusals >= MAX_REFUSALS) return;
    this.running = true;
    this.last = 0;
    this.seconds = [];
    requestAnimationFrame(this.frame);
  }

  stop(): void {
    this.running = false;
  }

  private readonly frame = (at: number): void => {
    if (!this.running) return;
    if (this.last && at > this.last && this.seconds.length < MOST) this.seconds.push((at - this.last) / 1_000);
    else if (!this.last) this.told = at;
    this.last = at;
    if (at - this.told >= EVERY_MS && this.seconds.length) {
      this.told = at;
      void this.tell(this.seconds);
      this.seconds = [];
    }
    requestAnimationFrame(this.frame);
  };

  private async tell(seconds: number[]): Promise<void> {
    const body = JSON.stringify({ seconds: seconds.map((s) => Number(s.toFixed(5))) });
    await ask('api/watchfire/v1/frames', { method: 'POST', body }).catch(() => {
      this.refusals += 1;
      if (this.refusals >= MAX_REFUSALS) this.stop();
    });
  }
}
