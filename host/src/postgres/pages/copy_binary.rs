use bytes::{Buf, Bytes, BytesMut};

use super::PagesError;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Reads tuples of a fixed number of fields out of a binary COPY stream, whatever pieces it arrives in. Fields are
/// slices of the pieces; only a tuple that is cut by the end of a piece is copied.
pub(crate) struct CopyParser {
    fields: u16,
    header_read: bool,
    finished: bool,
    /// The beginning of a tuple whose rest has not arrived.
    pending: BytesMut,
}

impl CopyParser {
    pub(crate) fn new(fields: u16) -> Self {
        CopyParser { fields, header_read: false, finished: false, pending: BytesMut::new() }
    }

    /// Takes the next piece and hands every tuple that is complete to `on_tuple`; a NULL field is None.
    pub(crate) fn push(
        &mut self,
        piece: Bytes,
        mut on_tuple: impl FnMut(&[Option<Bytes>]) -> Result<(), PagesError>,
    ) -> Result<(), PagesError> {
        let mut input = if self.pending.is_empty() {
            piece
        } else {
            self.pending.extend_from_slice(&piece);
            self.pending.split().freeze()
        };
        if !self.header_read {
            match header_len(&input)? {
                Some(len) => input.advance(len),
                None => {
                    self.pending.extend_from_slice(&input);
                    return Ok(());
                }
            }
            self.header_read = true;
        }
        let mut tuple = Vec::with_capacity(usize::from(self.fields));
        while !self.finished && input.has_remaining() {
            match self.tuple(&input, &mut tuple)? {
                Step::Tuple(len) => {
                    input.advance(len);
                    on_tuple(&tuple)?;
                }
                Step::End => self.finished = true,
                Step::Incomplete => {
                    self.pending.extend_from_slice(&input);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Fails where the stream stopped before its trailer.
    pub(crate) fn finish(self) -> Result<(), PagesError> {
        if self.finished { Ok(()) } else { Err(PagesError::Protocol("it ends within a tuple")) }
    }

    fn tuple(&self, input: &Bytes, tuple: &mut Vec<Option<Bytes>>) -> Result<Step, PagesError> {
        tuple.clear();
        let Some(count) = input.get(..2) else { return Ok(Step::Incomplete) };
        let count = i16::from_be_bytes([count[0], count[1]]);
        if count == -1 {
            return Ok(Step::End);
        }
        if i32::from(count) != i32::from(self.fields) {
            return Err(PagesError::Protocol("a tuple has another number of fields than was asked for"));
        }
        let mut at = 2;
        for _ in 0..count {
            let Some(len) = input.get(at..at + 4) else { return Ok(Step::Incomplete) };
            let len = i32::from_be_bytes([len[0], len[1], len[2], len[3]]);
            at += 4;
            if len == -1 {
                tuple.push(None);
                continue;
            }
            let len = usize::try_from(len).map_err(|_| PagesError::Protocol("a field has a negative length"))?;
            if input.len() - at < len {
                return Ok(Step::Incomplete);
            }
            tuple.push(Some(input.slice(at..at + len)));
            at += len;
        }
        Ok(Step::Tuple(at))
    }
}

enum Step {
    /// A whole tuple of so many bytes.
    Tuple(usize),
    End,
    Incomplete,
}

fn header_len(input: &[u8]) -> Result<Option<usize>, PagesError> {
    let seen = input.len().min(SIGNATURE.len());
    if input[..seen] != SIGNATURE[..seen] {
        return Err(PagesError::Protocol("it has no binary COPY signature"));
    }
    // Signature, flags, and the length of an extension that follows.
    let fixed = SIGNATURE.len() + 8;
    let Some(extension) = input.get(fixed - 4..fixed) else { return Ok(None) };
    let extension = u32::from_be_bytes([extension[0], extension[1], extension[2], extension[3]]) as usize;
    let len = fixed + extension;
    Ok((input.len() >= len).then_some(len))
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use proptest::prelude::*;

    use super::*;

    fn encode(tuples: &[Vec<Option<Vec<u8>>>]) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_slice(SIGNATURE);
        out.put_u32(0);
        out.put_u32(3);
        out.put_slice(b"ext");
        for tuple in tuples {
            out.put_i16(tuple.len() as i16);
            for field in tuple {
                match field {
                    Some(bytes) => {
                        out.put_i32(bytes.len() as i32);
                        out.put_slice(bytes);
                    }
                    None => out.put_i32(-1),
                }
            }
        }
        out.put_i16(-1);
        out
    }

    fn parse(stream: &[u8], piece: usize) -> Result<Vec<Vec<Option<Vec<u8>>>>, PagesError> {
        let mut parser = CopyParser::new(2);
        let mut found = Vec::new();
        for piece in stream.chunks(piece.max(1)) {
            parser.push(Bytes::copy_from_slice(piece), |tuple| {
                found.push(tuple.iter().map(|f| f.as_ref().map(|b| b.to_vec())).collect());
                Ok(())
            })?;
        }
        parser.finish()?;
        Ok(found)
    }

    proptest! {
        #[test]
        fn tuples_do_not_depend_on_the_pieces(
            tuples in prop::collection::vec(
                prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 2..=2), 0..12),
            piece in 1usize..200,
        ) {
            prop_assert_eq!(parse(&encode(&tuples), piece).unwrap(), tuples);
        }

        #[test]
        fn no_bytes_make_it_panic(stream in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..64) {
            let _ = parse(&stream, piece);
            let mut signed = encode(&[])[..22].to_vec();
            signed.extend(stream);
            let _ = parse(&signed, piece);
        }
    }

    #[test]
    fn a_cut_stream_is_an_error() {
        let whole = encode(&[vec![Some(vec![1, 2]), None]]);
        assert!(parse(&whole, 1_000).is_ok());
        assert!(parse(&whole[..whole.len() - 2], 1_000).is_err());
        assert!(parse(b"not a copy stream at all", 5).is_err());
    }
}
