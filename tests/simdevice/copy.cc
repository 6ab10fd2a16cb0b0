#include "tests/simdevice/copy.h"

#include "tests/simdevice/current.h"
#include "tests/simdevice/host_view.h"

namespace ft::simdevice {
namespace {

using at::Tensor;

void Enqueue(Stream& stream, const Tensor& from, const Tensor& to) {
  Check(stream.device().Launch(stream, [source = HostView(from), target = HostView(to)] {
    const WorkScope scope;
    target.copy_(source);
  }));
}

// What CUDA promises between two devices: the copy comes after what both current streams had to do, and before what they are given next.
void CopyBetween(Device& from_device, Device& to_device, const Tensor& from, const Tensor& to) {
  Stream& source = CurrentStream(from_device);
  Stream& target = CurrentStream(to_device);
  Event before, after;
  Check(to_device.Record(before, target));
  Check(from_device.Wait(source, before));
  Enqueue(source, from, to);
  Check(from_device.Record(after, source));
  Check(to_device.Wait(target, after));
}

}  // namespace

void Copy(const Tensor& from, const Tensor& to, bool non_blocking) {
  if (to.numel() == 0) return;
  const Tensor source = from.expand(to.sizes());
  if (!from.is_cpu() && !to.is_cpu()) {
    if (from.device() != to.device()) return CopyBetween(DeviceOf(from), DeviceOf(to), source, to);
    return Enqueue(CurrentStream(DeviceOf(to)), source, to);
  }
  const Tensor& host = from.is_cpu() ? source : to;
  const bool late = non_blocking && host.is_contiguous() && host.is_pinned();
  Stream& stream = CurrentStream(DeviceOf(from.is_cpu() ? to : from));
  Enqueue(stream, source, to);  // The work keeps the host's tensor.
  if (!late) Check(stream.device().Synchronize(stream));
}

}  // namespace ft::simdevice
