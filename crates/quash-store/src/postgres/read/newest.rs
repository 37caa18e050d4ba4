//! Notices what other processes append to the log: reads its newest number again and again, while somebody
//! follows [`Store::newest`](crate::Store::newest). This process's own changes and reads move it at once.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use crate::postgres::fault::PostgresError;
use crate::postgres::rows::{self, ReadColumns};
use crate::postgres::server::connect::Pool;
use crate::postgres::statements;
use crate::postgres::transaction::Database;

/// The pause between two reads while the log grows.
const BUSY: Duration = Duration::from_millis(10);

/// The pause between two reads at other times.
const IDLE: Duration = Duration::from_millis(100);

/// The number of reads after the last new number in which more are expected: about a second.
const EXPECTED_FOR: u32 = 100;

/// Reads until the store is closed.
pub(in crate::postgres) fn watch(database: &Arc<Database>, pool: Pool) {
    let database = Arc::downgrade(database);
    tokio::spawn(follow(database, pool));
}

async fn follow(database: Weak<Database>, pool: Pool) {
    let mut expected = 0_u32;
    loop {
        let Some(database) = database.upgrade() else { return };
        // Without receivers, nobody waits.
        if !database.newest.is_closed() {
            let before = *database.newest.borrow();
            // A read that failed is repeated.
            let _ = read(&database, &pool).await;
            let has_grown = *database.newest.borrow() > before;
            expected = if has_grown { EXPECTED_FOR } else { expected.saturating_sub(1) };
        }
        drop(database);
        sleep(if expected > 0 { BUSY } else { IDLE }).await;
    }
}

async fn read(database: &Database, pool: &Pool) -> Result<(), PostgresError> {
    let found = database.query_on(pool, statements::NEWEST, &[]).await?;
    let newest = rows::only(&found, |columns| columns.seq())?;
    database.saw(newest);
    Ok(())
}
