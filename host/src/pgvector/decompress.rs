//! The two compressions of PostgreSQL's inline values.

/// `pglz_decompress`: control bytes of eight flags, each a literal byte or a back reference of 3 to 273 bytes.
/// None where the input is damaged or does not give exactly `raw_size` bytes.
pub(crate) fn pglz(source: &[u8], raw_size: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(raw_size);
    let mut bytes = source.iter().copied();
    while out.len() < raw_size {
        let mut control = bytes.next()?;
        for _ in 0..8 {
            if out.len() == raw_size {
                break;
            }
            if control & 1 == 0 {
                out.push(bytes.next()?);
            } else {
                let (high, low) = (bytes.next()?, bytes.next()?);
                let mut length = usize::from(high & 0x0F) + 3;
                let distance = (usize::from(high & 0xF0) << 4) | usize::from(low);
                if length == 18 {
                    length += usize::from(bytes.next()?);
                }
                let room = raw_size - out.len();
                repeat(&mut out, distance, length.min(room))?;
            }
            control >>= 1;
        }
    }
    bytes.next().is_none().then_some(out)
}

/// An LZ4 block, as `default_toast_compression = lz4` writes it.
/// None where the input is damaged or does not give exactly `raw_size` bytes.
pub(crate) fn lz4(source: &[u8], raw_size: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(raw_size);
    let mut rest = source;
    loop {
        let (&token, after) = rest.split_first()?;
        rest = after;
        let literals = lz4_length(usize::from(token >> 4), &mut rest)?;
        if literals > rest.len() || literals > raw_size - out.len() {
            return None;
        }
        let (copied, after) = rest.split_at(literals);
        out.extend_from_slice(copied);
        rest = after;
        if rest.is_empty() {
            return (out.len() == raw_size).then_some(out);
        }
        let (distance, after) = rest.split_at_checked(2)?;
        rest = after;
        let length = lz4_length(usize::from(token & 0x0F), &mut rest)? + 4;
        if length > raw_size - out.len() {
            return None;
        }
        repeat(&mut out, usize::from(u16::from_le_bytes([distance[0], distance[1]])), length)?;
    }
}

/// A length that starts in the token and goes on in bytes while these are 255.
fn lz4_length(start: usize, rest: &mut &[u8]) -> Option<usize> {
    let mut length = start;
    if start == 15 {
        loop {
            let (&more, after) = rest.split_first()?;
            *rest = after;
            length += usize::from(more);
            if more != 255 {
                break;
            }
        }
    }
    Some(length)
}

/// Appends `length` bytes from `distance` before the end; the two may overlap.
fn repeat(out: &mut Vec<u8>, distance: usize, length: usize) -> Option<()> {
    let start = out.len().checked_sub(distance).filter(|_| distance > 0)?;
    for at in start..start + length {
        out.push(out[at]);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pglz_literals_and_references() {
        let check = |source: &[u8], size, expected: Option<&[u8]>| assert_eq!(pglz(source, size).as_deref(), expected);
        check(&[0b000, b'a', b'b', b'c'], 3, Some(b"abc"));
        // "ab", then 6 bytes from 2 before.
        check(&[0b100, b'a', b'b', 0x03, 2], 8, Some(b"abababab"));
        // A long reference: 18 + 4.
        check(&[0b010, b'x', 0x0F, 1, 4], 23, Some(&[b'x'; 23]));
        check(&[0b001, 0x00, 1], 3, None);
        check(&[0b010, b'x', 0x00, 0], 4, None);
        check(&[0b000, b'a'], 3, None);
        check(&[0b000, b'a', b'b'], 1, None);
        check(&[], 1, None);
    }

    #[test]
    fn lz4_literals_and_references() {
        let check = |source: &[u8], size, expected: Option<&[u8]>| assert_eq!(lz4(source, size).as_deref(), expected);
        check(&[0x30, b'a', b'b', b'c'], 3, Some(b"abc"));
        // "ab", then 6 bytes from 2 before, then the literal "z".
        check(&[0x22, b'a', b'b', 2, 0, 0x10, b'z'], 9, Some(b"ababababz"));
        check(&[0x22, b'a', b'b', 3, 0, 0x10, b'z'], 9, None);
        check(&[0x22, b'a', b'b', 2, 0], 8, None);
        check(&[0x30, b'a'], 3, None);
        check(&[], 0, None);
    }
}
