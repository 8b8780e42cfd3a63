//! What can be asked for: networks, datasets, recipes, and what the paper says of them. No
//! libtorch, no files.

pub mod claims;
pub mod dataset_name;
pub mod depths;
pub mod deviations;
pub mod kernels;
pub mod keys;
pub mod network_name;
pub mod paper;
pub mod precision;
pub mod recipe;
pub mod recipe_file;
pub mod reference;
pub mod seeds;
pub mod settings;
pub mod shortcut;
pub mod suggestion;
pub mod validate;
