//! GoogLeNet's forward pass.

use tch::{Kind, Tensor};

use crate::network::architecture::body::Widths;
use crate::network::architecture::googlenet::{AUXILIARY_AFTER, AUXILIARY_SIDE};
use crate::network::forward::pass::{Mode, Pass};

pub fn pooled(maps: &Tensor, kernel: i64) -> Tensor {
    maps.max_pool2d([kernel, kernel], [2, 2], [0, 0], [1, 1], true)
}

impl Pass<'_> {
    /// All layers: images, float32 [n, 3, h, w], to class scores [n, classes]; in training also
    /// those of each auxiliary classifier.
    pub(crate) fn googlenet(
        &mut self,
        images: &Tensor,
        widths: &Widths,
        auxiliary: bool,
    ) -> (Tensor, Vec<Tensor>) {
        self.enter(|| "conv".to_string());
        let first = self.layer(&images.to_kind(self.kind()), 2).main;
        let second = self.layer(&pooled(&first, 3), 1).main;
        let mut maps = self.layer(&second, 1).main;
        let mut heads = Vec::new();
        for (index, group) in widths.groups.iter().enumerate() {
            maps = pooled(&maps, if index == 2 { 2 } else { 3 });
            for module in group {
                self.enter(|| format!("inception{}.", module.name));
                maps = self.inception(&maps);
                if auxiliary
                    && self.mode() != Mode::Evaluation
                    && AUXILIARY_AFTER.contains(&module.name)
                {
                    heads.push(self.auxiliary_classifier(&maps));
                }
            }
        }
        (self.classify(&maps), heads)
    }

    /// The next module: [n, c, h, w] to [n, outputs, h, w].
    fn inception(&mut self, maps: &Tensor) -> Tensor {
        let first = self.layer(maps, 1).main;
        let mut after_reduction = || {
            let reduced = self.layer(maps, 1).main;
            self.layer(&reduced, 1).main
        };
        let (second, third) = (after_reduction(), after_reduction());
        let fourth = self.layer(&maps.max_pool2d([3, 3], [1, 1], [1, 1], [1, 1], true), 1).main;
        Tensor::cat(&[first, second, third, fourth], 1)
    }

    /// The next auxiliary classifier: [n, c, h, w] to class scores, float32 [n, classes].
    fn auxiliary_classifier(&mut self, maps: &Tensor) -> Tensor {
        let small = maps
            .to_kind(Kind::Float)
            .adaptive_avg_pool2d([AUXILIARY_SIDE, AUXILIARY_SIDE])
            .to_kind(self.kind());
        self.enter(|| "aux".to_string());
        self.aside(|pass| {
            let maps = pass.layer(&small, 1).main;
            let hidden = pass.fully_connected(&maps.to_kind(Kind::Float).flatten(1, -1)).relu_();
            pass.fully_connected(&hidden)
        })
    }
}
