/** Goes to a panel, and opens the section that hides it. */
export function reveal(event: Event, id: string): void {
  const panel = document.getElementById(`panel-${id}`);
  if (!panel) return;
  event.preventDefault();
  const folded = panel.closest('details');
  if (folded) folded.open = true;
  panel.scrollIntoView({ block: 'center' });
  panel.querySelector<HTMLElement>('[tabindex]')?.focus({ preventScroll: true });
}
