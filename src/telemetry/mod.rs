//! What the bridge tells about itself.
pub mod labels;
