//! The facts of this machine and of the settings, for the command and for the server's admin API.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use quash_service::doctor::{BackupFile, FactSource, Facts};
use quash_store::{PostgresOptions, PostgresStore};

use super::{files, settings};
use crate::settings::{Engine, Loaded};

/// The source of the facts of one data directory with its settings.
pub(in crate::commands) struct LocalFacts {
    loaded: Arc<Loaded>,
    data_dir: PathBuf,
}

impl LocalFacts {
    pub(in crate::commands) fn new(loaded: Arc<Loaded>, data_dir: PathBuf) -> Self {
        Self { loaded, data_dir }
    }
}

#[async_trait]
impl FactSource for LocalFacts {
    async fn facts(&self) -> Facts {
        let files = files::gather(&self.data_dir, &self.loaded);
        let postgres = match &self.loaded.settings.engine {
            // A fault of the server is a fault of the store, too.
            Engine::Postgres(url) => {
                PostgresStore::describe_server(&PostgresOptions::new(url.expose())).await.ok()
            }
            Engine::Sqlite | Engine::Memory => None,
        };
        Facts { settings: Some(settings::gather(&self.loaded)), files, postgres, ..Facts::default() }
    }

    fn backup(&self, path: &str) -> Option<BackupFile> {
        files::backup(path, &self.data_dir)
    }
}
