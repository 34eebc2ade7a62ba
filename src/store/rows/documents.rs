//! A document.

use serde_json::Value;

use super::row;
use crate::error::Error;
use crate::store::Document;

row! {
    pub(in crate::store) struct DocumentRow {
        subject: String,
        revision: i64,
        body: String,
    }
}

impl DocumentRow {
    pub(in crate::store) fn into_document(self) -> Result<Document, Error> {
        let unreadable =
            || super::corrupt(format!("the definition {:?} cannot be read", self.subject));
        Ok(Document {
            subject: self.subject.parse().map_err(|_| unreadable())?,
            body: serde_json::from_str::<Value>(&self.body).map_err(|_| unreadable())?,
            revision: super::revision(self.revision)?,
        })
    }
}
