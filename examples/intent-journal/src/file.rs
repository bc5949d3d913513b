//! A journal in a folder: a file for each intent.

use std::{io, path::PathBuf};

use anyhow::Result;
use async_trait::async_trait;
use idem::{
    IdempotencyKey,
    http::client::{Entry, Journal},
};
use serde::{Deserialize, Serialize};
use tokio::{fs, io::AsyncWriteExt as _};

/// A folder with a file for each intent, named after its key.
pub(crate) struct Folder(PathBuf);

/// A file's contents.
#[derive(Serialize, Deserialize)]
struct Written {
    key: String,
    first_sent_ms: u64,
    request: Vec<u8>,
}

impl Folder {
    pub(crate) async fn open(path: &str) -> Result<Self> {
        fs::create_dir_all(path).await?;
        Ok(Self(path.into()))
    }

    /// Keys of other makers may hold any character; a hash of them is a name.
    fn path(&self, key: &IdempotencyKey) -> PathBuf {
        let name = idem::Fingerprint::of("intent-journal/v1", key.as_str().as_bytes());
        let name: String = name
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.0.join(name)
    }

    /// Without this, a new name can be lost with the power.
    async fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.0).await?.sync_all().await
    }
}

#[async_trait]
impl Journal for Folder {
    type Error = anyhow::Error;

    /// Renamed once it is whole: a crash half-way leaves no half entry.
    async fn write(&self, entry: &Entry) -> Result<()> {
        let written = serde_json::to_vec(&Written {
            key: entry.key.as_str().to_owned(),
            first_sent_ms: entry.first_sent_ms,
            request: entry.request.to_vec(),
        })?;
        let path = self.path(&entry.key);
        let half = path.with_extension("half");
        let mut file = fs::File::create(&half).await?;
        file.write_all(&written).await?;
        // A write may fail in the background: this tells.
        file.flush().await?;
        file.sync_all().await?;
        fs::rename(&half, &path).await?;
        Ok(self.sync().await?)
    }

    async fn remove(&self, key: &IdempotencyKey) -> Result<()> {
        match fs::remove_file(self.path(key)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(self.sync().await?),
        }
    }

    async fn open(&self) -> Result<Vec<Entry>> {
        let (mut entries, mut files) = (Vec::new(), fs::read_dir(&self.0).await?);
        while let Some(file) = files.next_entry().await? {
            if file.path().extension().is_some() {
                continue; // half
            }
            let written: Written = serde_json::from_slice(&fs::read(file.path()).await?)?;
            entries.push(Entry {
                key: IdempotencyKey::new(written.key)?,
                first_sent_ms: written.first_sent_ms,
                request: written.request.into(),
            });
        }
        Ok(entries)
    }
}
