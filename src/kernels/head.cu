// The end of CIFAR's nets and the beginning of the backward pass in one: the last block's sum and ReLU, the mean over 8×8 pixels, the fully
// connected layer, softmax with cross-entropy, whether the image is wrong, and the gradient down to the last normalisation's output. A block
// has one image.
#include "tile.h"

constexpr int LAST_CHANNELS = 64, LAST_SIDE = 8, LAST_PIXELS = LAST_SIDE * LAST_SIDE, LAST_UNITS = LAST_CHANNELS / 8, LAST_GROUPS = THREADS / LAST_UNITS;

// Sums over all pixels: each thread brings eight channels' sums over its own; thread c < LAST_CHANNELS gets channel c's.
DEVICE float add_up_pixels(float* memory, const float (&values)[8]) {
  const int unit = thread_id() % LAST_UNITS, group = thread_id() / LAST_UNITS;
  sync_block();
  for (int i = 0; i < 8; ++i) memory[group * LAST_CHANNELS + unit * 8 + i] = values[i];
  sync_block();
  float sum = 0;
  if (thread_id() < LAST_CHANNELS)
    for (int g = 0; g < LAST_GROUPS; ++g) sum += memory[g * LAST_CHANNELS + thread_id()];
  return sum;
}

// Over a warp's lanes; all get it.
DEVICE float add_up_warp(float value) {
  for (int mask = 16; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}
DEVICE float largest_of_warp(float value) {
  for (int mask = 16; mask > 0; mask /= 2) {
    const float other = shuffle_xor(value, mask);
    value = other > value || other != other ? other : value;
  }
  return value;
}

// Whether class k is in front of another: larger, or the first of equal ones; NaN before everything, as in libtorch's argmax.
DEVICE bool in_front(float a, int k, float b, int other) {
  const bool nan = a != a, other_nan = b != b;
  if (nan || other_nan) return nan && (!other_nan || k < other);
  return a > b || (a == b && k < other);
}
// The class in front, of which the lanes have some; all get it.
DEVICE int first_class(const float* logits, int classes, int lane) {
  int best = lane < classes ? lane : 0;
  for (int k = lane; k < classes; k += 32)
    if (in_front(logits[k], k, logits[best], best)) best = k;
  for (int mask = 16; mask > 0; mask /= 2) {
    const int other = (int)shuffle_xor((float)best, mask);
    if (in_front(logits[other], other, logits[best], best)) best = other;
  }
  return best;
}

KERNEL(2) head(Head h) {
  float* memory = (float*)shared();             // [LAST_GROUPS][LAST_CHANNELS]
  float* pooled = memory + LAST_GROUPS * LAST_CHANNELS;   // [LAST_CHANNELS], later its gradient
  float* logits = pooled + LAST_CHANNELS;            // [classes], later their gradients
  const int image = block_id(), unit = thread_id() % LAST_UNITS, group = thread_id() / LAST_UNITS, lane = thread_id() % 32, warp = thread_id() / 32;
  wait_for_kernel_before();
  let_next_kernel_start();

  const ActivationReader reader(h.input, LAST_CHANNELS, LAST_SIDE, unit);
  Words made[LAST_PIXELS / LAST_GROUPS];
  float sums[8] = {};
#pragma unroll
  for (int p = 0; p < LAST_PIXELS / LAST_GROUPS; ++p) {
    const int pixel = group + p * LAST_GROUPS;
    made[p] = reader.at(image, pixel / LAST_SIDE, pixel % LAST_SIDE, false);
    for (int i = 0; i < 8; ++i) sums[i] += part(made[p], i);
  }
  const float sum = add_up_pixels(memory, sums);
  if (thread_id() < LAST_CHANNELS) {
    pooled[thread_id()] = sum / LAST_PIXELS;
    h.pooled[image * LAST_CHANNELS + thread_id()] = sum / LAST_PIXELS;
  }
  sync_block();

  for (int k = warp; k < h.classes; k += THREADS / 32) {
    float product = 0;
    for (int c = lane; c < LAST_CHANNELS; c += 32) product = fused(pooled[c], h.weights[k * LAST_CHANNELS + c], product);
    product = add_up_warp(product);
    if (lane == 0) {
      logits[k] = product + h.bias[k];
      h.logits[image * h.classes + k] = logits[k];
    }
  }
  sync_block();
  const int label = (int)h.labels[image];
  if (warp == 0) {
    float largest = logits[0];
    for (int k = lane; k < h.classes; k += 32) largest = logits[k] > largest || logits[k] != logits[k] ? logits[k] : largest;
    largest = largest_of_warp(largest);
    float total = 0;
    for (int k = lane; k < h.classes; k += 32) total += exponential(logits[k] - largest);
    total = add_up_warp(total);
    const int first = first_class(logits, h.classes, lane);
    if (lane == 0) {
      h.losses[image] = logarithm(total) + largest - logits[label];
      h.losses[h.images_count + image] = first == label ? 0 : 1;
      memory[0] = largest;
      memory[1] = total;
    }
  }
  sync_block();
  for (int k = thread_id(); k < h.classes; k += THREADS) {
    logits[k] = (exponential(logits[k] - memory[0]) / memory[1] - (k == label ? 1 : 0)) / h.images_count;
    h.d_logits[image * h.classes + k] = logits[k];
  }
  sync_block();
  if (thread_id() < LAST_CHANNELS) {
    float gradient = 0;
    for (int k = 0; k < h.classes; ++k) gradient = fused(logits[k], h.weights[k * LAST_CHANNELS + thread_id()], gradient);
    pooled[thread_id()] = rounded(gradient / LAST_PIXELS);
  }
  sync_block();

  float one[8] = {}, other[8] = {};
#pragma unroll
  for (int p = 0; p < LAST_PIXELS / LAST_GROUPS; ++p) {
    const int pixel = group + p * LAST_GROUPS;
    const long long at = ((long long)image * LAST_PIXELS + pixel) * LAST_UNITS + unit;
    const Words z = h.input.maps[at];
    float g[8];
    for (int i = 0; i < 8; ++i) {
      g[i] = part(made[p], i) > 0 ? pooled[unit * 8 + i] : 0;
      one[i] += g[i];
      other[i] = fused(g[i], part(z, i) - reader.mean[i], other[i]);
    }
    h.gradient[at] = packed(g);
  }
  const float d_sum = add_up_pixels(memory, one), product = add_up_pixels(memory, other);
  if (thread_id() < LAST_CHANNELS) {
    h.norm.partial[(image * 2 + 0) * LAST_CHANNELS + thread_id()] = d_sum;
    h.norm.partial[(image * 2 + 1) * LAST_CHANNELS + thread_id()] = product;
  }
  finish_all_gradients(h.norm);
}
