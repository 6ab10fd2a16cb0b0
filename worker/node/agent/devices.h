// What this node offers: its CPU cores as one device, and every GPU and MIG slice that NVML shows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "finetune/v1/nodes.pb.h"

namespace ft::agent {

// A source of accelerators; NVML opened at run time, or a fake.
class DeviceSource {
 public:
  virtual ~DeviceSource() = default;
  virtual StatusOr<std::vector<finetune::v1::Device>> List() = 0;
};

// NOT_FOUND when the library is not there or shows no driver.
StatusOr<std::unique_ptr<DeviceSource>> OpenNvml(const std::string& library);

// `cores` as configured, 0 = all this process may run on. Memory from /proc/meminfo.
finetune::v1::Device CpuDevice(const std::string& node_id, int64_t cores);

}  // namespace ft::agent
