//! Values as PostgreSQL stores them (`varatt.h`).

use std::borrow::Cow;

use super::decompress::{lz4, pglz};
use super::error::ValueFault;
use super::page::u32_at;

/// Larger than any value that an index page can hold compressed: the longest bit string of 64,000 bits.
const MAX_RAW_BYTES: usize = 16 << 10;

/// A value's content without its header: from a 4-byte or a 1-byte header, decompressed where it is compressed.
/// `bytes` begins at the header and may be longer than the value.
pub(crate) fn detoast(bytes: &[u8]) -> Result<Cow<'_, [u8]>, ValueFault> {
    let first = *bytes.first().ok_or(ValueFault::CutOff)?;
    if first == 1 {
        return Err(ValueFault::External);
    }
    if first & 1 == 1 {
        return bytes.get(1..usize::from(first >> 1)).map(Cow::Borrowed).ok_or(ValueFault::CutOff);
    }
    if bytes.len() < 4 {
        return Err(ValueFault::CutOff);
    }
    let header = u32_at(bytes, 0);
    let value = bytes.get(4..(header >> 2) as usize).ok_or(ValueFault::CutOff)?;
    if header & 3 == 0 {
        return Ok(Cow::Borrowed(value));
    }
    let (info, compressed) = value.split_at_checked(4).ok_or(ValueFault::CutOff)?;
    let info = u32_at(info, 0);
    let raw_size = (info & 0x3FFF_FFFF) as usize;
    if raw_size > MAX_RAW_BYTES {
        return Err(ValueFault::Compression);
    }
    let raw = match info >> 30 {
        0 => pglz(compressed, raw_size),
        1 => lz4(compressed, raw_size),
        _ => None,
    };
    raw.map(Cow::Owned).ok_or(ValueFault::Compression)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_kind() {
        let check = |bytes: &[u8], expected: Result<&[u8], ValueFault>| {
            assert_eq!(detoast(bytes).as_deref(), expected.as_ref().map(|b| *b), "{bytes:?}");
        };
        check(&[7 << 2, 0, 0, 0, 1, 2, 3], Ok(&[1, 2, 3]));
        check(&[7 << 2, 0, 0, 0, 1, 2, 3, 9, 9], Ok(&[1, 2, 3]));
        check(&[(4 << 1) | 1, 1, 2, 3, 9], Ok(&[1, 2, 3]));
        check(&[(12 << 2) | 2, 0, 0, 0, 3, 0, 0, 0, 0, b'a', b'b', b'c'], Ok(b"abc"));
        check(&[(12 << 2) | 2, 0, 0, 0, 3, 0, 0, 0x40, 0x30, b'a', b'b', b'c'], Ok(b"abc"));
        check(&[(12 << 2) | 2, 0, 0, 0, 3, 0, 0, 0x80, 0x30, b'a', b'b', b'c'], Err(ValueFault::Compression));
        check(&[(12 << 2) | 2, 0, 0, 0, 0, 0, 0xFF, 0, 0x30, b'a', b'b', b'c'], Err(ValueFault::Compression));
        check(&[7 << 2, 0, 0, 0, 1, 2], Err(ValueFault::CutOff));
        check(&[3 << 2, 0, 0, 0], Err(ValueFault::CutOff));
        check(&[(4 << 1) | 1, 1, 2], Err(ValueFault::CutOff));
        check(&[1, 18], Err(ValueFault::External));
        check(&[0, 0], Err(ValueFault::CutOff));
        check(&[], Err(ValueFault::CutOff));
    }
}
