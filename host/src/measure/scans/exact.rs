use std::collections::HashSet;

use super::super::MeasureError;
use super::ScanProbe;
use super::session::ScanSession;
use crate::model::Tid;
use crate::postgres::PgTid;

/// Rows beyond the k-th that are looked at for ties.
const SPARE_FOR_TIES: usize = 20;

/// The rows that a query for `literal` should return, by a sequential scan.
pub(in super::super) async fn exact_rows(
    scans: &ScanSession,
    literal: String,
    own: HashSet<Tid>,
    k: usize,
) -> Result<ScanProbe, MeasureError> {
    let sql = scans.statements().exact(k + own.len() + SPARE_FOR_TIES);
    let rows = scans.session().query(&sql, &[&literal]).await.map_err(MeasureError::Database)?;
    let mut nearest = Vec::with_capacity(rows.len());
    for row in rows {
        let tid: PgTid = row.try_get(0).map_err(MeasureError::Database)?;
        let distance: f64 = row.try_get(1).map_err(MeasureError::Database)?;
        if !own.contains(&tid.0) {
            nearest.push((tid.0, distance));
        }
    }
    Ok(ScanProbe::new(literal, own, &nearest, k))
}
