// The end of a step: the flat gradient from what blocks and images left, and the update of the parameters.
#include "gpu.h"

// block_row(): a convolution, or after the last one the fully connected layer, the mean loss and the wrong images. A thread has one element.
KERNEL(4) collect(Collect c) {
  wait_for_kernel_before();
  let_next_kernel_start();
  const int at = block_id() * THREADS + thread_id();
  float sum = 0;
  if (block_row() < c.convolutions_count) {
    const Parts convolution = c.convolutions[block_row()];
    if (at >= convolution.count) return;
    for (int p = 0; p < convolution.parts; ++p) sum += convolution.from[p * convolution.count + at];
    c.gradient[convolution.offset + at] = sum;
    return;
  }
  const int weights = c.classes * c.channels;
  if (at < weights) {
    const int class_ = at / c.channels, channel = at % c.channels;
    for (int n = 0; n < c.images_count; ++n) sum = fused(c.d_logits[n * c.classes + class_], c.pooled[n * c.channels + channel], sum);
    c.d_weights[at] = sum;
  } else if (at < weights + c.classes) {
    for (int n = 0; n < c.images_count; ++n) sum += c.d_logits[n * c.classes + at - weights];
    c.d_bias[at - weights] = sum;
  } else if (at - weights - c.classes < 2) {
    const int which = at - weights - c.classes;
    for (int n = 0; n < c.images_count; ++n) sum += c.losses[which * c.images_count + n];
    c.loss[which] = which ? sum : sum / c.images_count;
  }
}

// Rounded after each operation, as libtorch's separate ones are.
KERNEL(4) update(Update u) {
  wait_for_kernel_before();
  let_next_kernel_start();
  const float rate = *u.learning_rate;
  for (long long at = (long long)block_id() * THREADS + thread_id(); at < u.count; at += (long long)block_count() * THREADS) {
    const float decay = u.parameters[at] * u.weight_decay, decayed = u.gradient[at] + decay;
    const float kept = u.momentum_buffer[at] * u.momentum, moved = kept + decayed, step = moved * rate;
    u.momentum_buffer[at] = moved;
    u.parameters[at] -= step;
  }
}

// What a launch costs by itself.
KERNEL(4) nothing(Update) {
  wait_for_kernel_before();
  let_next_kernel_start();
}
