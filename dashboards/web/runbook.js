// Turns docs/runbook.md into a page of its own, so that the alerts' links lead somewhere without a network. It reads
// the Markdown that the runbook uses: headings, paragraphs, lists, code, bold and links.

const STYLE = `:root{color-scheme:light dark}
body{max-width:76ch;margin:0 auto;padding:16px;font:14px/1.5 ui-sans-serif,system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;
background:light-dark(#f3f5f7,#0c0f13);color:light-dark(#1a1f26,#e4e8ed)}
a{color:light-dark(#0072b2,#56b4e9)}h1{font-size:20px}h2{margin:32px 0 8px;font-size:17px}
section{margin:10px 0;padding:8px 14px;border:1px solid light-dark(#dde2e8,#262d36);border-radius:8px;background:light-dark(#fff,#14181e)}
section:has(:target){border-color:light-dark(#c2410c,#ff8a3d)}h3{margin:2px 0 6px;font-size:14px}p,ul,pre{margin:5px 0}
code{font:12.5px/1.4 ui-monospace,Menlo,'DejaVu Sans Mono',monospace}pre{overflow-x:auto}`;

const escape = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');

function inline(text) {
  return text
    .split(/(`[^`]+`)/)
    .map((part) =>
      part.startsWith('`')
        ? `<code>${escape(part.slice(1, -1))}</code>`
        : escape(part)
            .replace(/\[([^\]]+)\]\(([^)\s]+)\)/g, (_, words, to) => `<a href="${to.startsWith('#') ? `runbook.html${to}` : to}">${words}</a>`)
            .replace(/\*\*(.+?)\*\*/g, '<b>$1</b>'),
    )
    .join('');
}

/** Paragraphs that begin with a bold word start on a line of their own. */
const paragraph = (lines) =>
  lines
    .join('\n')
    .split(/\n(?=\*\*)/)
    .map((text) => `<p>${inline(text)}</p>`)
    .join('\n');

function block(text) {
  const lines = text.split('\n');
  if (lines[0].startsWith('```')) return `<pre><code>${escape(lines.slice(1, -1).join('\n'))}</code></pre>`;
  if (/^[-*] /.test(lines[0])) {
    return `<ul>${lines.join('\n').split(/^[-*] /m).slice(1).map((item) => `<li>${inline(item.trim())}</li>`).join('')}</ul>`;
  }
  return paragraph(lines);
}

/** A heading of level three opens a section that its anchor names. */
export function runbookPage(markdown) {
  const html = [];
  let open = false;
  const close = () => {
    if (open) html.push('</section>');
    open = false;
  };
  const blocks = markdown.replace(/^(#+ .*)$/gm, '\n$1\n').split(/\n{2,}/).filter((text) => text.trim());
  for (const text of blocks.map((b) => b.trim())) {
    const heading = /^(#{1,3}) (.*)$/.exec(text);
    if (!heading) {
      html.push(block(text));
      continue;
    }
    const [, { length: level }, title] = heading;
    const id = title.toLowerCase().replace(/[^\w -]/g, '').replace(/ /g, '-');
    close();
    if (level === 3) html.push('<section>');
    open = level === 3;
    html.push(`<h${level} id="${id}">${inline(title)}</h${level}>`);
  }
  close();
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>watchfire: runbook</title><link rel="icon" href="./favicon.svg" type="image/svg+xml"><style>${STYLE}</style></head><body>
<p><a href="./">watchfire</a></p>
${html.join('\n')}
</body></html>
`;
}
