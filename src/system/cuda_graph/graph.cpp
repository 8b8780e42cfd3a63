// CUDA graphs and memory of libtorch's CUDA half behind a C interface. A shared object of its own (scripts/build-cuda-graph), so that
// the program starts where CUDA's libraries are missing. Functions return 0, or -1 (null) and leave a text for resnet_graph_error.

#include "../guarded.h"

#include <ATen/Context.h>
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace {

using c10::cuda::CUDAGuard;
using c10::cuda::CUDAStream;
namespace allocator = c10::cuda::CUDACachingAllocator;

// As guarded, where a failure is expected and changes nothing.
template <class Work>
void attempt(Work&& work) noexcept {
  try {
    work();
  } catch (...) {
  }
}

// The device as libtorch counts it. The allocator refuses every question until CUDA is initialised, which is otherwise the first tensor's part.
c10::DeviceIndex ready(int device) {
  at::globalContext().lazyInitDevice(at::kCUDA);
  TORCH_CHECK(device >= 0 && device < c10::cuda::device_count(), "there is no GPU ", device);
  return static_cast<c10::DeviceIndex>(device);
}

// Whether the capture got so far that reset() gives its memory back is known to the base only.
struct CapturedGraph : at::cuda::CUDAGraph {
  bool ended() const { return capture_ended_; }
};

struct Graph {
  explicit Graph(c10::DeviceIndex index) : device(index), side(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, index)) {}

  c10::DeviceIndex device;
  CUDAStream side;
  CapturedGraph graph;
  at::MempoolId_t pool{0, 0};
  // The stream to go back to, while the side stream is the current one.
  std::optional<CUDAStream> before;
  bool capturing = false;
};

// What is put on `later` from now on starts after all that is on `earlier`. The host does not wait.
void order(const CUDAStream& earlier, const CUDAStream& later) {
  c10::cuda::CUDAEvent event;
  event.record(earlier);
  event.block(later);
}

void enter(Graph& self) {
  TORCH_CHECK(!self.before, "the side stream is already in use");
  const CUDAStream current = c10::cuda::getCurrentCUDAStream(self.device);
  order(current, self.side);
  c10::cuda::setCurrentCUDAStream(self.side);
  self.before = current;
}

void leave(Graph& self) {
  TORCH_CHECK(self.before, "the side stream is not in use");
  const CUDAStream before = *self.before;
  // First of all, so that an error leaves nobody on the side stream.
  self.before.reset();
  c10::cuda::setCurrentCUDAStream(before);
  order(self.side, before);
}

// Ends a capture that failed, wherever it stands. A violation of the rules makes cudaStreamEndCapture fail, and capture_end then stops before
// it tells the allocators: they would defer every free, and keep the pool, until the process ends.
void discard(Graph& self) noexcept {
  attempt([&] { self.graph.capture_end(); });
  if (!self.graph.ended()) {
    attempt([&] { allocator::endAllocateToPool(self.device, self.pool); });
    attempt([&] { allocator::releasePool(self.device, self.pool); });
    auto* host = at::getHostAllocator(at::kCUDA);
    attempt([&] { host->end_allocate_to_pool(self.pool); });
    attempt([&] { host->release_pool(self.pool); });
  }
  attempt([&] { self.graph.reset(); });
  // CUDA keeps the error for whoever asks next.
  (void)cudaGetLastError();
  self.capturing = false;
  attempt([&] { leave(self); });
}

Graph& from(void* graph) {
  TORCH_CHECK(graph, "no graph");
  return *static_cast<Graph*>(graph);
}

}  // namespace

extern "C" {

// Text of this thread's last error, valid until its next one.
const char* resnet_graph_error() { return last_error.c_str(); }

// An empty graph with a side stream of its own: the default stream cannot be captured.
void* resnet_graph_new(int device) {
  return guarded<void*>(nullptr, [&] {
    const CUDAGuard guard(ready(device));
    return std::make_unique<Graph>(guard.current_device().index()).release();
  });
}

// Makes the side stream this thread's current one, or the stream before it again; each waits for what is on the other. Steps on it before
// the capture let cuDNN choose its algorithms and cuBLAS get its workspaces for the threads and the stream that the capture uses.
int resnet_graph_side_stream(void* graph, int on) {
  return guarded(-1, [&] {
    Graph& self = from(graph);
    TORCH_CHECK(!self.capturing, "a capture is under way");
    const CUDAGuard guard(self.device);
    on ? enter(self) : leave(self);
    return 0;
  });
}

// What this thread, and the backward pass it starts, puts on the device from now on is recorded and not done.
//
// The backward pass runs on autograd's thread for the device. It makes the stream of the forward pass current there, node by node, and what is
// captured follows from the stream, not from the thread, so its kernels are captured in any mode. The mode says whose unsafe calls (memory
// allocation, queries of events) break the capture. Global: those of every thread, so anything unrelated in the process could. Relaxed:
// nobody's, so a mistake of ours would go unseen. ThreadLocal: only those of the thread that began, where our code is; autograd's thread may
// still make a library's handle. Waiting for a captured stream fails in all three. ThreadLocal also means: the same thread ends the capture.
int resnet_graph_begin(void* graph) {
  return guarded(-1, [&] {
    Graph& self = from(graph);
    TORCH_CHECK(!self.capturing && !self.graph.ended(), "the graph is already captured");
    const CUDAGuard guard(self.device);
    c10::cuda::device_synchronize();
    // The capture allocates from a pool of its own, and during it the allocator cannot give cached blocks back to make room.
    allocator::emptyCache();
    enter(self);
    self.pool = at::cuda::graph_pool_handle();
    self.capturing = true;
    try {
      self.graph.capture_begin(self.pool, cudaStreamCaptureModeThreadLocal);
    } catch (...) {
      discard(self);
      throw;
    }
    return 0;
  });
}

// Ends the capture; if that fails, as resnet_graph_abort.
int resnet_graph_end(void* graph) {
  return guarded(-1, [&] {
    Graph& self = from(graph);
    TORCH_CHECK(self.capturing, "no capture is under way");
    const CUDAGuard guard(self.device);
    try {
      self.graph.capture_end();
    } catch (...) {
      discard(self);
      throw;
    }
    self.capturing = false;
    leave(self);
    return 0;
  });
}

// Ends a capture whose work failed: the graph is empty again and the stream before it is current.
int resnet_graph_abort(void* graph) {
  return guarded(-1, [&] {
    Graph& self = from(graph);
    TORCH_CHECK(self.capturing, "no capture is under way");
    const CUDAGuard guard(self.device);
    discard(self);
    return 0;
  });
}

// Launches what was recorded on this thread's current stream. The host does not wait.
int resnet_graph_replay(void* graph) {
  return guarded(-1, [&] {
    from(graph).graph.replay();
    return 0;
  });
}

void resnet_graph_free(void* graph) {
  if (!graph) return;
  const std::unique_ptr<Graph> self(static_cast<Graph*>(graph));
  attempt([&] {
    const CUDAGuard guard(self->device);
    if (self->capturing) discard(*self);
    if (self->before) leave(*self);
    // Here, because what a destructor throws ends the program.
    self->graph.reset();
  });
}

// Largest number of bytes in tensors at a time since the last reset, or -1. A replay allocates nothing: what its graph needs was counted at
// the capture, so a measurement must include that, or the warm-up.
int64_t resnet_cuda_peak_memory(int device) {
  return guarded<int64_t>(-1, [&] {
    const auto statistics = allocator::getDeviceStats(ready(device));
    return statistics.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
  });
}

void resnet_cuda_reset_peak_memory(int device) {
  guarded(-1, [&] {
    allocator::resetPeakStats(ready(device));
    return 0;
  });
}

}  // extern "C"
