use std::error::Error;

use bytes::{BufMut, Bytes, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::model::Tid;

/// A `tid` on its way to or from PostgreSQL, in the binary format (block u32, offset u16, big endian).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PgTid(pub Tid);

impl ToSql for PgTid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_u32(self.0.block);
        out.put_u16(self.0.offset);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for PgTid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let raw: [u8; 6] = raw.try_into().map_err(|_| format!("a tid of {} bytes", raw.len()))?;
        Ok(PgTid(Tid {
            block: u32::from_be_bytes([raw[0], raw[1], raw[2], raw[3]]),
            offset: u16::from_be_bytes([raw[4], raw[5]]),
        }))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TID
    }
}

/// A value of any type as its send function wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendFormat(pub Bytes);

/// What a type's send function gives, its receive function takes.
impl ToSql for SendFormat {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for SendFormat {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(SendFormat(Bytes::copy_from_slice(raw)))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(block: u32, offset: u16) {
        let tid = PgTid(Tid { block, offset });
        let mut bytes = BytesMut::new();
        tid.to_sql(&Type::TID, &mut bytes).unwrap();
        assert_eq!(PgTid::from_sql(&Type::TID, &bytes).unwrap(), tid);
    }

    #[test]
    fn tids_survive_the_wire() {
        check(0, 1);
        check(70_000, 291);
        check(u32::MAX, u16::MAX);
        assert!(PgTid::from_sql(&Type::TID, &[0; 5]).is_err());
    }
}
