//! The steps that bring the tables up to date, as sqlx applies them.

use std::borrow::Cow;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType};

/// The migrations of a database, in order. Each has the name of its file, which begins with its number
/// in four digits, counted from one, and the file's text. They are what sqlx makes of such files.
pub(in crate::store) fn migrations(files: &[(&'static str, &'static str)]) -> Vec<Migration> {
    let migration = |(version, &(name, sql)): (i64, &(&'static str, &'static str))| {
        let description = name.get("0001_".len()..).unwrap_or(name);
        Migration::new(
            version,
            Cow::Borrowed(description),
            MigrationType::Simple,
            SqlStr::from_static(sql),
            false,
        )
    };
    (1..).zip(files).map(migration).collect()
}

/// The names and texts of the files in the folder `migrations` beside the caller's.
macro_rules! migration_files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("migrations/", $name, ".sql")))),*]
    };
}
pub(in crate::store) use migration_files;

/// That each file in a folder is applied, and under its own number.
#[cfg(test)]
pub(in crate::store) fn assert_all_listed(folder: &str, migrations: &[Migration]) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort_unstable();
    let listed: Vec<_> = migrations
        .iter()
        .map(|one| format!("{:04}_{}.sql", one.version, one.description))
        .collect();
    assert_eq!(listed, files);
}
