//! What fuzz targets may see of the admin API.

/// Reads `body` as each of the bodies of the admin API. Of one that is refused, what the answer says.
pub fn read_as_each(body: &[u8]) -> Vec<Result<(), String>> {
    crate::admin::read_as_each(body)
}
