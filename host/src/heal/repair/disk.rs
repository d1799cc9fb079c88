use tokio::process::Command;
use tokio_postgres::Client;

/// Free bytes where the index would be built. None: not knowable (a server on another machine, a role that may
/// not see the data directory, a container of its own).
pub async fn free_bytes(client: &Client, index_oid: u32) -> Option<u64> {
    let row = client
        .query_opt(
            "SELECT inet_server_addr() IS NOT DISTINCT FROM inet_client_addr(),
                    coalesce(nullif(pg_tablespace_location(
                        coalesce(nullif(c.reltablespace, 0), (SELECT dattablespace FROM pg_database WHERE datname = current_database()))), ''),
                        (SELECT setting FROM pg_settings WHERE name = 'data_directory'))
               FROM pg_class AS c WHERE c.oid = $1",
            &[&index_oid],
        )
        .await
        .ok()??;
    let here: bool = row.get(0);
    let directory: Option<String> = row.get(1);
    let directory = directory.filter(|_| here)?;
    let output = Command::new("df").args(["-P", "-k", "--"]).arg(directory).kill_on_drop(true).output().await.ok()?;
    available(std::str::from_utf8(&output.stdout).ok()?)
}

/// The fourth column of the last line of `df -P -k`, in bytes.
fn available(report: &str) -> Option<u64> {
    let line = report.lines().nth(1)?;
    // The first column may hold spaces; the others are counted from the end.
    let columns: Vec<&str> = line.split_whitespace().collect();
    let percent = columns.iter().rposition(|column| column.ends_with('%'))?;
    columns.get(percent.checked_sub(1)?)?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(report: &str, expected: Option<u64>) {
        assert_eq!(available(report), expected);
    }

    #[test]
    fn the_report_of_df_is_read() {
        let header = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n";
        check(&format!("{header}/dev/sda1        102400 2400 100000 3% /data dir\n"), Some(102_400_000));
        check(&format!("{header}my share 10 5 5 50% /\n"), Some(5120));
        check(header, None);
        check("", None);
    }
}
