//! The paper's numbers, from `paper.toml`, the one place where they stand.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::config::network_name::NetworkName;

/// What the paper says of a network on CIFAR-10.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CifarResult {
    /// The network.
    pub network: NetworkName,
    /// Exact number of parameters.
    pub parameters: i64,
    /// Test error in percent; the best of several runs where there were several.
    pub test_error: Option<f64>,
    /// Whether `test_error` was read off a figure.
    #[serde(default)]
    pub approximate: bool,
    /// Mean over several runs, in percent.
    pub mean_test_error: Option<f64>,
    /// Standard deviation over several runs, in percentage points.
    pub standard_deviation: Option<f64>,
    /// Of a pre-activation net: test error of the same depth with the units of the first paper.
    pub original_test_error: Option<f64>,
    /// Table or figure.
    pub source: String,
}

/// A row of Table 6 that the paper quotes from another paper.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quoted {
    /// The method.
    pub name: String,
    /// Weighted layers.
    pub layers: Option<u64>,
    /// Parameters, in millions.
    pub million_parameters: Option<f64>,
    /// Test error in percent; the best of several runs where there were several.
    pub test_error: f64,
    /// Mean over several runs, in percent.
    pub mean_test_error: Option<f64>,
    /// Standard deviation over several runs, in percentage points.
    pub standard_deviation: Option<f64>,
}

/// What a public reproduction measured over several runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reproduced {
    /// The network.
    pub network: NetworkName,
    /// Mean test error in percent.
    pub mean_test_error: f64,
    /// Standard deviation in percentage points.
    pub standard_deviation: f64,
}

/// ImageNet as the paper uses it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imagenet {
    /// Classes.
    pub classes: i64,
    /// Training images.
    pub training_images: usize,
    /// Validation images, of which Tables 2 to 4 and Figure 4 are.
    pub validation_images: usize,
    /// Test images, of which Table 5 is.
    pub test_images: usize,
    /// Side of the crops that the networks see, in pixels.
    pub crop: i64,
    /// Lowest and highest error on the axis of Figure 4, in percent.
    pub figure_4_axis: (f64, f64),
}

/// A network of Table 1, or one that the paper compares its cost with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableOneRow {
    /// The network.
    pub network: NetworkName,
    /// Weighted layers.
    pub layers: u64,
    /// Kernels of a block's layers.
    pub block: Option<String>,
    /// Blocks of conv2_x, conv3_x, conv4_x and conv5_x.
    pub blocks: Option<[usize; 4]>,
    /// Multiply-adds for one image, which the paper calls FLOPs and rounds to two digits.
    pub multiply_adds: Option<f64>,
    /// Exact number of parameters with 1,000 classes; counted, the paper does not say.
    pub parameters: i64,
    /// The same with shortcuts of option B, where the row's are option A's.
    pub option_b_parameters: Option<i64>,
}

/// A row of Tables 2 to 5. Errors in percent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagenetResult {
    /// What it is called, where it is no network that can be trained here.
    pub name: Option<String>,
    /// The network.
    pub network: Option<NetworkName>,
    /// Whether the paper quotes it from another one.
    #[serde(default)]
    pub quoted: bool,
    /// Top-1 error.
    pub top1: Option<f64>,
    /// Top-5 error.
    pub top5: Option<f64>,
}

impl ImagenetResult {
    /// What the row is called.
    pub fn label(&self) -> String {
        self.name.clone().or(self.network.map(|network| network.to_string())).unwrap_or_default()
    }
}

/// Public weights of a network and their error on the centre crop of ImageNet's validation images.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CentreCrop {
    /// The network.
    pub network: NetworkName,
    /// Top-1 error in percent.
    pub top1: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paper {
    cifar10: Vec<CifarResult>,
    preactivation: Vec<CifarResult>,
    quoted: Vec<Quoted>,
    reproduced: Vec<Reproduced>,
    imagenet: Imagenet,
    table_1: Vec<TableOneRow>,
    table_2: Vec<ImagenetResult>,
    table_3: Vec<ImagenetResult>,
    table_4: Vec<ImagenetResult>,
    table_5: Vec<ImagenetResult>,
    centre_crop: Vec<CentreCrop>,
}

fn paper() -> &'static Paper {
    static PAPER: OnceLock<Paper> = OnceLock::new();
    PAPER.get_or_init(|| {
        toml::from_str(include_str!("paper.toml"))
            .expect("paper.toml is part of the program and tested")
    })
}

/// What the paper says of `network` on CIFAR-10, or of a pre-activation net the authors' paper of
/// 2016, if it has it.
pub fn cifar10(network: NetworkName) -> Option<&'static CifarResult> {
    paper().cifar10.iter().chain(preactivation()).find(|result| result.network == network)
}

/// All networks of the paper on CIFAR-10.
pub fn cifar10_networks() -> &'static [CifarResult] {
    &paper().cifar10
}

/// The pre-activation nets of He et al. 2016 (arXiv 1603.05027) on CIFAR-10.
pub fn preactivation() -> &'static [CifarResult] {
    &paper().preactivation
}

/// The rows of Table 6 that the paper quotes.
pub fn quoted() -> &'static [Quoted] {
    &paper().quoted
}

/// What a public reproduction measured for `network`.
pub fn reproduced(network: NetworkName) -> Option<&'static Reproduced> {
    paper().reproduced.iter().find(|result| result.network == network)
}

/// ImageNet as the paper uses it.
pub fn imagenet() -> &'static Imagenet {
    &paper().imagenet
}

/// Table 1: the networks for ImageNet and what they cost.
pub fn table_1() -> &'static [TableOneRow] {
    &paper().table_1
}

/// Table 2: plain and residual nets of 18 and 34 layers, top-1, 10-crop.
pub fn table_2() -> &'static [ImagenetResult] {
    &paper().table_2
}

/// Table 3: errors with 10-crop testing.
pub fn table_3() -> &'static [ImagenetResult] {
    &paper().table_3
}

/// Table 4: errors of single models, tested at several scales.
pub fn table_4() -> &'static [ImagenetResult] {
    &paper().table_4
}

/// Table 5: top-5 errors of ensembles.
pub fn table_5() -> &'static [ImagenetResult] {
    &paper().table_5
}

/// Errors of public weights on the centre crop.
pub fn centre_crop() -> &'static [CentreCrop] {
    &paper().centre_crop
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_test_errors_are_those_of_table_6() {
        let errors = [20, 32, 44, 56, 110, 1202]
            .map(|depth| cifar10(NetworkName::residual(depth)).unwrap().test_error.unwrap());
        assert_eq!(errors, [8.75, 7.51, 7.17, 6.97, 6.43, 7.93]);
        assert_eq!(cifar10(NetworkName::residual(26)).map(|result| result.parameters), None);
        assert!(cifar10(NetworkName::plain(56)).unwrap().approximate);
    }

    #[test]
    fn the_test_errors_of_pre_activation_nets_are_those_of_their_paper() {
        let errors: Vec<_> = preactivation()
            .iter()
            .map(|row| (row.network.depth(), row.original_test_error, row.test_error))
            .collect();
        let expected = [(110, 6.61, 6.37), (164, 5.93, 5.46), (1001, 7.61, 4.92)];
        assert_eq!(
            errors,
            expected.map(|(depth, original, error)| (depth, Some(original), Some(error)))
        );
        let name = "preact-resnet-164".parse().unwrap();
        assert_eq!(cifar10(name).and_then(|row| row.test_error), Some(5.46));
        assert!(cifar10_networks().iter().all(|row| row.original_test_error.is_none()));
    }

    #[test]
    fn tables_1_to_5_have_the_papers_rows() {
        let flops: Vec<Option<f64>> =
            table_1().iter().map(|row| row.multiply_adds.map(|count| count / 1e9)).collect();
        let expected = [1.8, 3.6, 1.8, 3.6, 3.8, 7.6, 11.3, 15.3, 19.6].map(Some);
        assert_eq!(flops, [&expected[..], &[None]].concat());
        let blocks: Vec<usize> =
            table_1().iter().filter_map(|row| Some(row.blocks?.iter().sum())).collect();
        assert_eq!(blocks, [8, 16, 8, 16, 16, 33, 50]);
        let row = |row: &ImagenetResult| (row.label(), row.top1, row.top5);
        assert_eq!(
            table_2().iter().map(|row| row.top1).collect::<Vec<_>>(),
            [27.94, 28.54, 27.88, 25.03].map(Some)
        );
        assert_eq!((table_3().len(), table_4().len(), table_5().len()), (10, 10, 6));
        assert_eq!(row(&table_3()[1]), ("googlenet".to_string(), None, Some(9.15)));
        assert_eq!(row(&table_3()[9]), ("resnet-152".to_string(), Some(21.43), Some(5.71)));
        assert_eq!(row(&table_4()[5]), ("resnet-34b".to_string(), Some(21.84), Some(5.71)));
        assert_eq!(row(&table_4()[9]), ("resnet-152".to_string(), Some(19.38), Some(4.49)));
        assert_eq!(table_5()[5].top5, Some(3.57));
        assert_eq!(
            (imagenet().training_images, imagenet().figure_4_axis),
            (1_281_167, (20.0, 60.0))
        );
    }

    #[test]
    fn depth_and_blocks_of_table_1_agree() {
        for row in table_1() {
            let (Some(block), Some(blocks)) = (&row.block, row.blocks) else { continue };
            // The 7×7 convolution and the fully connected layer are the other two.
            let layers = blocks.iter().sum::<usize>() * block.split(", ").count() + 2;
            assert_eq!(
                (layers as u64, row.network.depth()),
                (row.layers, row.layers),
                "{}",
                row.network
            );
        }
    }
}
