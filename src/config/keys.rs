//! The keys of a recipe: what each means, what it may be, and where the paper speaks of it. The one
//! place where this stands: `recipe`, the errors of [`crate::config::validate`] and the table of
//! docs/protocol.md have it from here.

/// A key of the recipe.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name, as `run.toml` has it.
    pub name: &'static str,
    /// What it may be, in words.
    pub allowed: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// The paper's sections that state it; empty where the paper states nothing.
    pub sections: &'static str,
}

const fn key(
    name: &'static str,
    allowed: &'static str,
    sections: &'static str,
    meaning: &'static str,
) -> Key {
    Key { name, allowed, meaning, sections }
}

/// Of both protocols, ImageNet's and CIFAR-10's.
const BOTH: &str = "3.4, 4.2";

/// All keys, those that belong together beside each other.
#[rustfmt::skip]
pub const KEYS: [Key; 27] = [
    key("iterations", "a whole number from 1 to 100000000", BOTH,
        "training iterations: one batch and one update each"),
    key("batch_size", "a whole number from 1 to 65536", BOTH,
        "images per batch"),
    key("learning_rate", "above 0, at most 100", BOTH,
        "learning rate before the first reduction"),
    key("milestones", "iterations in rising order", "4.2",
        "last iterations before the learning rate is multiplied by `learning_rate_factor`"),
    key("learning_rate_factor", "above 0, at most 1", BOTH,
        "factor of each reduction"),
    key("lower_rate", "milestones or plateau", BOTH,
        "what reduces the learning rate: milestones, or a plateau of the evaluation error"),
    key("plateau_patience", "a whole number from 1 to 100000", "",
        "evaluations in a row without progress before a reduction (plateau only)"),
    key("plateau_threshold", "percentage points, from 0, below 100", "",
        "percentage points by which the error must fall below the lowest so far to count as progress (plateau only)"),
    key("plateau_reductions", "a whole number from 0 to 100", "",
        "maximum number of reductions (plateau only)"),
    key("momentum", "from 0, below 1", BOTH,
        "momentum of SGD (not Nesterov)"),
    key("weight_decay", "from 0 to 1", BOTH,
        "weight decay on every parameter, including batch normalisation and biases"),
    key("warmup", "true or false", "4.2",
        "whether to start with `warmup_learning_rate`"),
    key("warmup_learning_rate", "above 0, at most 100", "4.2",
        "learning rate of the warm-up"),
    key("warmup_until_error", "a percentage, 0 to 100", "4.2",
        "training error in percent below which the warm-up ends"),
    key("validation", "a whole number from 0; what it leaves of the training images fills a batch", "4.2",
        "training images held out as a validation set"),
    key("augment", "true or false", BOTH,
        "random crop and horizontal flip (ImageNet: also scale and colour)"),
    key("normalize", "pixel-mean or imagenet", BOTH,
        "`pixel-mean`: subtract the mean training image; `imagenet`: ImageNet's mean colour and standard deviation, as most public CIFAR networks use"),
    key("evaluate_every", "a whole number from 1 to 100000000", "",
        "iterations between evaluations; the last iteration is always followed by one. Shorter runs are evaluated at least five times"),
    key("precision", "f32, bf16, or on a GPU tf32", "",
        "precision (dtype) of activations and convolutions"),
    key("kernels", "libtorch, or on a GPU with precision bf16 own", "",
        "whose CUDA kernels compute the network: libtorch's and cuDNN's, or the project's own. Results differ in their last bits"),
    key("checkpoint_segments", "a whole number from 0 (automatic) to 10000", "",
        "gradient checkpointing: segments whose activations are recomputed in the backward pass; 1 keeps all activations, 0 chooses by available memory. It does not affect results"),
    key("gradient_norms_every", "a whole number from 0 (none) to 100000000", "",
        "iterations between the rows of `gradients.csv`: the norm of the gradient with respect to each layer's weights. 0: none. It does not affect results"),
    key("group_size", "a number that batch_size is a multiple of, or 0 for the whole batch", "4.2",
        "images that share batch normalisation statistics; the gradients of all groups in a batch are averaged (the paper has two GPUs)"),
    key("crop", "a whole number from 32 to 4096", "3.4",
        "side of the training crop in pixels"),
    key("scale", "two whole numbers in rising order, from crop to 4096", "3.4",
        "range of the shorter side of a training image, drawn anew each time"),
    key("test_scale", "a whole number from crop to 4096", "3.4",
        "shorter side of a test image before the crop"),
    key("lighting", "0 to 10", "3.4",
        "standard deviation of the colour augmentation along the principal components of ImageNet's colours; 0 turns it off"),
];

/// What a key may be, in words; empty for what is no key.
pub fn allowed(name: &str) -> &'static str {
    KEYS.iter().find(|key| key.name == name).map_or("", |key| key.allowed)
}
