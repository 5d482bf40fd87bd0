/** A way in which samples reach the page. */
export interface Feed {
  start(): void;
  stop(): void;
}

export interface FeedEvents {
  /** Samples came; `back` when asking had failed for a while before. */
  alive(back: boolean): void;
  /** The feed does not work and will not recover by itself. */
  failed(reason: string): void;
  /** History has a hole that the ring can fill. */
  resync(): void;
}
