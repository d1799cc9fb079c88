use super::{Kind, Refused, Value, code};

const BOOL: u32 = 16;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const JSON: u32 = 114;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
const UNKNOWN: u32 = 705;
const DATE: u32 = 1082;
const TIMESTAMP: u32 = 1114;
const TIMESTAMPTZ: u32 = 1184;
const NUMERIC: u32 = 1700;
const JSONB: u32 = 3802;

/// As many as PostgreSQL's protocol can bind.
const MOST_PARAMETERS: usize = 65_535;
/// PostgreSQL counts its dates from 2000-01-01.
const POSTGRES_EPOCH_DAYS: i64 = 10_957;
const DAY_MICROS: i64 = 86_400_000_000;

/// The parameters of a statement: the types that the client told, and those that follow from where they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterKinds {
    slots: Vec<Slot>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Slot {
    /// 0 where the client told none.
    told: u32,
    inferred: Option<Kind>,
}

impl ParameterKinds {
    /// With the types that came with Parse.
    pub fn told(oids: &[u32]) -> ParameterKinds {
        let slot = |oid: &u32| Slot { told: if *oid == UNKNOWN { 0 } else { *oid }, inferred: None };
        ParameterKinds { slots: oids.iter().map(slot).collect() }
    }

    /// The place and type of `$n`, which stands where `expected` is expected.
    ///
    /// # Errors
    /// `n` is no number of a parameter.
    pub fn refer(&mut self, text: &str, expected: Option<Kind>) -> Result<(usize, Kind), Refused> {
        let number = text.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        let index = match number {
            Some(number @ 1..=MOST_PARAMETERS) => number - 1,
            _ => return Err(Refused::syntax(format!("there is no parameter {text}"))),
        };
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Slot::default);
        }
        let slot = &mut self.slots[index];
        if slot.told != 0 {
            return Ok((index, kind_of(slot.told)));
        }
        slot.inferred = slot.inferred.or(expected);
        Ok((index, slot.inferred.unwrap_or(Kind::Text)))
    }

    /// Whether nothing tells yet what `$n` is.
    pub fn is_untyped(&self, text: &str) -> bool {
        let index = text.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        match index.and_then(|number| self.slots.get(number.checked_sub(1)?)) {
            Some(slot) => slot.told == 0 && slot.inferred.is_none(),
            None => true,
        }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The type of each.
    pub fn oids(&self) -> Vec<u32> {
        let oid = |slot: &Slot| if slot.told != 0 { slot.told } else { slot.inferred.unwrap_or(Kind::Text).oid() };
        self.slots.iter().map(oid).collect()
    }
}

/// The type that stands for one of PostgreSQL's; text for all that is not known.
fn kind_of(oid: u32) -> Kind {
    match oid {
        BOOL => Kind::Bool,
        INT2 | INT4 => Kind::Int4,
        INT8 => Kind::Int8,
        FLOAT4 | FLOAT8 | NUMERIC => Kind::Float8,
        JSON | JSONB => Kind::Jsonb,
        DATE | TIMESTAMP | TIMESTAMPTZ => Kind::Time,
        _ => Kind::Text,
    }
}

/// What a client bound, as a value of the type that stands for `oid`.
///
/// # Errors
/// It is no value of that type, or in a binary format that is not known.
pub fn decode(oid: u32, binary: bool, bytes: Option<&[u8]>) -> Result<Value, Refused> {
    let Some(bytes) = bytes else { return Ok(Value::Null) };
    if !binary {
        let text = std::str::from_utf8(bytes).map_err(|_| Refused::new("22021", "a parameter is not UTF-8"))?;
        return Value::text(text).cast(kind_of(oid));
    }
    let malformed = || Refused::new("22P03", "incorrect binary data of a parameter");
    match oid {
        INT2 => Ok(Value::Int(i16::from_be_bytes(bytes.try_into().map_err(|_| malformed())?).into())),
        FLOAT4 => Ok(Value::Float(f32::from_be_bytes(bytes.try_into().map_err(|_| malformed())?).into())),
        DATE => {
            let days = i32::from_be_bytes(bytes.try_into().map_err(|_| malformed())?);
            Ok(Value::Time((i64::from(days) + POSTGRES_EPOCH_DAYS) * DAY_MICROS))
        }
        JSON => Value::from_binary(Kind::Text, bytes)?.cast(Kind::Jsonb),
        TIMESTAMP => Value::from_binary(Kind::Time, bytes),
        // bytea, arrays, numeric: nothing here takes them.
        NUMERIC => Err(Refused::unsupported("numeric parameters in binary").with_hint("Cast to double precision.")),
        BOOL | INT4 | INT8 | FLOAT8 | JSONB | TIMESTAMPTZ => Value::from_binary(kind_of(oid), bytes),
        // text, varchar, bpchar, name
        0 | 19 | 25 | UNKNOWN | 1042 | 1043 => Value::from_binary(Kind::Text, bytes),
        other => Err(Refused::new(code::UNSUPPORTED, format!("parameters of type {other} are not supported"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_from_the_client_or_the_place() {
        let mut kinds = ParameterKinds::told(&[INT2, 0, UNKNOWN]);
        assert_eq!(kinds.refer("$1", Some(Kind::Text)), Ok((0, Kind::Int4)));
        assert_eq!(kinds.refer("$2", Some(Kind::Int8)), Ok((1, Kind::Int8)));
        assert!(kinds.is_untyped("$3") && kinds.is_untyped("$9") && !kinds.is_untyped("$2"));
        assert_eq!(kinds.refer("$5", None), Ok((4, Kind::Text)));
        assert_eq!(kinds.oids(), [INT2, INT8, 25, 25, 25]);
        assert!(kinds.refer("$0", None).is_err() && kinds.refer("$99999999", None).is_err());
        assert!(kinds.refer("?", None).is_err());
    }

    #[test]
    fn parameters_are_decoded() {
        let check = |oid, binary, bytes: &[u8], expected: Result<Value, &str>| {
            assert_eq!(decode(oid, binary, Some(bytes)).map_err(|e| e.code), expected);
        };
        check(25, false, b"docs", Ok(Value::text("docs")));
        check(25, true, b"docs", Ok(Value::text("docs")));
        check(INT4, false, b"7", Ok(Value::Int(7)));
        check(INT2, true, &[0, 7], Ok(Value::Int(7)));
        check(INT8, true, &[0, 7], Err("22P03"));
        check(DATE, true, &[0, 0, 0, 0], Ok(Value::Time(946_684_800_000_000)));
        check(JSON, true, b"[1]", Ok(Value::Json(serde_json::json!([1]))));
        check(25, false, b"\xff", Err("22021"));
        check(17, true, b"x", Err("0A000"));
        assert_eq!(decode(INT4, true, None), Ok(Value::Null));
    }
}
