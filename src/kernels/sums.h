// Two sums a channel over all pixels of a batch, in one order whatever the GPU: within a thread, over a block, and over the blocks, by the
// block that comes last; and what follows from them for a batch normalisation.
#pragma once
#include "gpu.h"

// From the sums of (x - origin) and of its square: with an origin among the values, the variance is no difference of two large numbers.
DEVICE void finish_statistics(const NormState& n, int c, double origin, double sum, double square) {
  const double centre = sum / n.rows, spread = square / n.rows - centre * centre;
  // NaN stays NaN.
  const double variance = spread < 0 ? 0 : spread, mean = centre + origin, inverse = 1 / sqrt(variance + n.epsilon);
  n.mean[c] = (float)mean;
  n.inverse[c] = (float)inverse;
  n.factor[c] = (float)(n.gamma[c] * inverse);
  if (!n.running_mean) return;
  const double unbiased = variance * n.rows / (n.rows > 1 ? n.rows - 1 : 1), momentum = n.momentum;
  n.running_mean[c] = (float)((1 - momentum) * n.running_mean[c] + momentum * mean);
  n.running_variance[c] = (float)((1 - momentum) * n.running_variance[c] + momentum * unbiased);
}

// From the sums of g and of g · (x - mean), g being the gradient by the normalisation's output.
DEVICE void finish_gradients(const NormState& n, int c, double sum, double product) {
  const double factor = n.factor[c], inverse = n.inverse[c];
  n.d_beta[c] = (float)sum;
  n.d_gamma[c] = (float)(product * inverse);
  n.slope[c] = (float)(-factor * inverse * inverse * product / n.rows);
  n.offset[c] = (float)(-factor * sum / n.rows);
}

// Adds up what the blocks left in n.partial, a column of the grid after the other, if this block is the last of the grid; `finish` gets
// (channel, sum, other sum). Takes 2 · THREADS doubles of shared memory.
template <typename Finish>
DEVICE void add_up_blocks(const NormState& n, Finish finish) {
  const int blocks = block_count();
  if (!is_last_block(n.counter, blocks * block_rows())) return;
  double* sums = (double*)shared();
  // A few threads a column of the table of partial sums, each with some of the blocks.
  for (int first = 0; first < n.channels; first += THREADS) {
    const int columns = n.channels - first < THREADS ? n.channels - first : THREADS, slices = THREADS / columns;
    const int slice = thread_id() / columns, column = first + thread_id() % columns;
    double one = 0, other = 0;
    if (slice < slices)
      for (int block = slice; block < blocks; block += slices) {
        one += load_fresh(&n.partial[(block * 2 + 0) * n.channels + column]);
        other += load_fresh(&n.partial[(block * 2 + 1) * n.channels + column]);
      }
    sync_block();
    sums[thread_id()] = one;
    sums[THREADS + thread_id()] = other;
    sync_block();
    if (slice == 0) {
      for (int s = 1; s < slices; ++s) {
        one += sums[s * columns + thread_id()];
        other += sums[THREADS + s * columns + thread_id()];
      }
      finish(column, one, other);
    }
    sync_block();
  }
}

DEVICE void finish_all_gradients(const NormState& n) {
  add_up_blocks(n, [&](int c, double sum, double product) { finish_gradients(n, c, sum, product); });
}
