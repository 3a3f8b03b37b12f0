/** Finding the token in what a person pasted: the whole link, its `#token=` part, or the token alone. */

export function tokenIn(text) {
  const trimmed = text.trim();
  const [, marked] = trimmed.match(/[#?&]token=([^&\s]*)/) ?? [];
  return marked === undefined ? trimmed : decoded(marked);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
