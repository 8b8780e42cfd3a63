// Batch normalisation, the addition of a shortcut and ReLU for maps of any size: two kernels forward (statistics, apply), two backward
// (sums, input gradient). Each thread has eight channels of some pixels.
#include "eight.h"

KERNEL(2) norm_statistics(Norm n) {
  const Place place(n.state.channels);
  Sums sums;
  float origin[8];
  wait_for_kernel_before();
  let_next_kernel_start();
  // The first pixel, which is the same when a part of a network is computed again.
  const Words pixel = n.x[place.eight];
  for (int i = 0; i < 8; ++i) origin[i] = part(pixel, i);
  place.each<8>(n.state.rows, [&](long long at) { return n.x[at]; }, [&](const Words& x, long long) { sums.take(x, origin); });
  add_up_block(n.state, place, sums);
  add_up_blocks(n.state, [&](int c, double sum, double square) { finish_statistics(n.state, c, part(n.x[c / 8], c % 8), sum, square); });
}

KERNEL(2) norm_apply(Norm n) {
  const Place place(n.state.channels);
  wait_for_kernel_before();
  let_next_kernel_start();
  const Affine affine(n.state, place.eight);
  const auto read = [&](long long at) {
    Addends read{n.x[at]};
    if (n.shortcut) read.shortcut = n.shortcut[at];
    return read;
  };
  place.each<4>(n.state.rows, read, [&](const Addends& read, long long at) { n.y[at] = affine.activated(read.x, read.shortcut, n.relu); });
}

KERNEL(2) norm_sums(Norm n) {
  const Place place(n.state.channels);
  Sums sums;
  wait_for_kernel_before();
  let_next_kernel_start();
  const Affine affine(n.state, place.eight);
  const auto read = [&](long long at) { return read_gradient(n.x, n.dy, n.more, n.sign, at); };
  place.each<2>(n.state.rows, read, [&](const GradientWords& read, long long at) {
    float g[8];
    let_through(g, read, n.more, n.sign, affine, n.relu);
    sums.take(g, read.x, affine);
    if (n.masked) n.masked[at] = packed(g);
  });
  add_up_block(n.state, place, sums);
  finish_all_gradients(n.state);
}

KERNEL(2) norm_input_gradient(Norm n) {
  const Place place(n.state.channels);
  wait_for_kernel_before();
  let_next_kernel_start();
  const Affine affine(n.state, place.eight);
  float slope[8], offset[8];
  load_eight(slope, n.state.slope, place.eight);
  load_eight(offset, n.state.offset, place.eight);
  // Where the masked gradient was written, reading it is cheaper than masking again.
  const bool mask = n.relu && !n.masked;
  const Words *gradient = n.masked ? n.masked : n.dy, *sign = mask ? n.sign : nullptr;
  const auto read = [&](long long at) { return read_gradient(n.x, gradient, nullptr, sign, at); };
  place.each<2>(n.state.rows, read, [&](const GradientWords& read, long long at) {
    float g[8], dx[8];
    let_through(g, read, false, sign, affine, mask);
    for (int i = 0; i < 8; ++i) dx[i] = fused(g[i], affine.factor[i], fused(affine.centred(part(read.x, i), i), slope[i], offset[i]));
    n.dx[at] = packed(dx);
  });
}
