// Does what its issue's id says, as the guest `misbehaving` does in Rust.

export const name = () => 'javascript_misbehaving';

export function canRepair(issue) {
  if (issue.id === 'loop') for (;;);
  return true;
}

export function propose(issue, _context) {
  switch (issue.id) {
    case 'loop':
      for (;;);
    case 'memory': {
      const hoard = [];
      for (;;) hoard.push(new Uint8Array(1 << 20).fill(1));
    }
    case 'panic':
      throw new Error('on purpose');
    case 'overflow':
      return String(deeper(1));
    case 'capabilities':
      return JSON.stringify({ now: attempt(() => Date.now() > 0), random: attempt(() => Math.random()) });
    default:
      return `unknown misbehaviour ${issue.id}`;
  }
}

export const repair = () => {
  throw { tag: 'unsupported-issue' };
};
export const validate = () => true;
export const rollback = () => {};
export const estimatedDuration = () => 1n;

const deeper = (depth) => 1 + deeper(depth + 1);

function attempt(work) {
  try {
    return String(work());
  } catch (error) {
    return `refused: ${error}`;
  }
}
