//! The parameters of statements, each with its type: a statement with typed parameters needs no preparation,
//! and works behind a pooler that gives each transaction another connection.

use tokio_postgres::types::{ToSql, Type};

/// A value whose type PostgreSQL is told.
pub(super) trait Typed: ToSql + Sync {
    const TYPE: Type;
}

/// Like [`Typed`], for lists of values of different types.
pub(super) trait Param: ToSql + Sync {
    fn sql_type(&self) -> Type;
}

/// The parameters of a statement, from `$1` on.
pub(super) type Params<'a> = &'a [&'a dyn Param];

impl<T: Typed> Param for T {
    fn sql_type(&self) -> Type {
        T::TYPE
    }
}

macro_rules! typed {
    ($($rust:ty => $sql:ident),+ $(,)?) => {
        $(impl Typed for $rust {
            const TYPE: Type = Type::$sql;
        })+
    };
}

typed! {
    bool => BOOL,
    i16 => INT2,
    i32 => INT4,
    i64 => INT8,
    String => TEXT,
    &str => TEXT,
    Vec<u8> => BYTEA,
    &[u8] => BYTEA,
    Vec<bool> => BOOL_ARRAY,
    Vec<i16> => INT2_ARRAY,
    Vec<i64> => INT8_ARRAY,
    Vec<Option<i64>> => INT8_ARRAY,
    Vec<&str> => TEXT_ARRAY,
    Vec<Option<&str>> => TEXT_ARRAY,
    Vec<String> => TEXT_ARRAY,
    Vec<Option<String>> => TEXT_ARRAY,
    Vec<&[u8]> => BYTEA_ARRAY,
    Vec<Option<&[u8]>> => BYTEA_ARRAY,
    Vec<Vec<u8>> => BYTEA_ARRAY,
}

impl<T: Typed> Typed for Option<T> {
    const TYPE: Type = T::TYPE;
}

/// The parameters as tokio-postgres takes them.
pub(super) fn typed<'a>(params: Params<'a>) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().map(|param| (*param as &(dyn ToSql + Sync), param.sql_type())).collect()
}
