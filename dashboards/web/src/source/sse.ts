/** One message of an event stream. */
export interface Message {
  event: string;
  data: string;
  id: string;
}

/**
 * Reads server-sent events from an answer. (The browser's own EventSource cannot send a token, and
 * does not tell why it failed.)
 */
export async function* messages(response: Response): AsyncGenerator<Message> {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split('\n\n');
    rest = parts.pop() ?? '';
    for (const part of parts) {
      const message = read(part);
      if (message.data) yield message;
    }
  }
}

function read(text: string): Message {
  const fields: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const [, name = '', value = ''] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    fields[name] = name === 'data' && fields['data'] ? `${fields['data']}\n${value}` : value;
  }
  return { event: fields['event'] ?? 'message', data: fields['data'] ?? '', id: fields['id'] ?? '' };
}
