// The kernels as functions of the program: for tests, which run them on a CPU.
#include "../norm.cu"
#include "../convolution.cu"
#include "../weights.cu"
#include "../pointwise.cu"
#include "../head.cu"
#include "../update.cu"
#include "../batch.cu"
#include "mistakes.h"

namespace {

struct Entry {
  const char* name;
  size_t parameter_bytes;
  void (*run)(const void* parameter);
};

#define ENTRY(kernel, Parameter) {#kernel, sizeof(Parameter), [](const void* parameter) { kernel(*static_cast<const Parameter*>(parameter)); }}
const Entry ENTRIES[] = {
    ENTRY(norm_statistics, Norm), ENTRY(norm_apply, Norm), ENTRY(norm_sums, Norm), ENTRY(norm_input_gradient, Norm),
    ENTRY(forward_first, Convolution), ENTRY(forward_16, Convolution), ENTRY(forward_16_32, Convolution), ENTRY(forward_32, Convolution),
    ENTRY(forward_32_64, Convolution), ENTRY(forward_64, Convolution),
    ENTRY(backward_16, Convolution), ENTRY(backward_16_32, Convolution), ENTRY(backward_32, Convolution), ENTRY(backward_32_64, Convolution),
    ENTRY(backward_64, Convolution),
    ENTRY(weights_first, WeightGradient), ENTRY(weights_16, WeightGradient), ENTRY(weights_16_32, WeightGradient),
    ENTRY(weights_32, WeightGradient), ENTRY(weights_32_64, WeightGradient), ENTRY(weights_64, WeightGradient),
    ENTRY(pointwise_forward_64_256, Pointwise), ENTRY(pointwise_forward_128_512, Pointwise), ENTRY(pointwise_forward_256_64, Pointwise),
    ENTRY(pointwise_forward_512_128, Pointwise), ENTRY(pointwise_backward_64_256, Pointwise), ENTRY(pointwise_backward_128_512, Pointwise),
    ENTRY(pointwise_backward_256_64, Pointwise), ENTRY(pointwise_backward_512_128, Pointwise),
    ENTRY(batch, Batch), ENTRY(head, Head), ENTRY(collect, Collect), ENTRY(update, Update), ENTRY(nothing, Update),
    ENTRY(missed_barrier, Mistake), ENTRY(missing_barrier, Mistake), ENTRY(copy_not_awaited, Mistake), ENTRY(copy_never_awaited, Mistake), ENTRY(divergent_warp, Mistake),
    ENTRY(unwritten_memory, Mistake), ENTRY(past_the_end, Mistake), ENTRY(first_come, Mistake), ENTRY(same_bank, Mistake), ENTRY(no_mistake, Mistake),
};

const Entry* find(const char* name) {
  for (const Entry& entry : ENTRIES)
    if (!std::strcmp(entry.name, name)) return &entry;
  return nullptr;
}

}  // namespace

extern "C" {

// Bytes of a kernel's parameter, 0 if there is no such kernel.
size_t resnet_emulator_parameter_bytes(const char* name) {
  const Entry* entry = find(name);
  return entry ? entry->parameter_bytes : 0;
}

// Runs a kernel. Null, or what is wrong with it, valid until this thread's next launch. counts: multiplications, loads of matrices, passes.
const char* resnet_emulator_launch(const char* name, int columns, int rows, int shared_bytes, int order, const void* parameter, long long* counts) {
  const Entry* entry = find(name);
  if (!entry) return "there is no such kernel";
  emulation::launch(columns, rows, THREADS, shared_bytes, static_cast<emulation::Order>(order), [&] { entry->run(parameter); });
  const emulation::Block& block = emulation::block;
  counts[0] = block.counts.multiplications;
  counts[1] = block.counts.matrix_loads;
  counts[2] = block.counts.passes;
  return block.failure.empty() ? nullptr : block.failure.c_str();
}

}  // extern "C"
