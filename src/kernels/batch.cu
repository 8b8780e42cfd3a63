// A training batch of images that are in memory: cropped out of the padded images, flipped, normalised.
#include "gpu.h"

// A thread has one pixel.
KERNEL(4) batch(Batch b) {
  wait_for_kernel_before();
  let_next_kernel_start();
  const int pixels = b.side * b.side, at = block_id() * THREADS + thread_id();
  if (at >= b.count * pixels) return;
  const int image = at / pixels, row = at % pixels / b.side, column = at % b.side;
  // Image, top, left, whether it is flipped.
  const long long* draw = b.plans + (*b.row * b.batch_size + b.start + image) * 4;
  // A flipped image takes the same columns from right to left.
  const int from_row = (int)draw[1] + row, from_column = (int)draw[2] + (draw[3] ? b.side - 1 - column : column);
  const int inside = (from_row * b.padded_side + from_column) * 3;
  const u8* pixel = b.pixels + draw[0] * b.padded_side * b.padded_side * 3 + inside;
  for (int channel = 0; channel < 3; ++channel) {
    // As on a CPU; libtorch multiplies by the inverse on a GPU.
    const float value = (float)pixel[channel] / 255.0f, centred = value - b.mean[inside + channel];
    b.images[at * 3 + channel] = centred / b.deviation[channel];
  }
  if (row == 0 && column == 0) b.picked[image] = b.labels[draw[0]];
}
