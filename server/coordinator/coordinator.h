// Everything of the coordinator, wired. Start() opens the store and serves; Stop() ends calls, then threads,
// in an order that loses nothing that was acknowledged. Used by one thread.
#pragma once

#include <utility>

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/service_type.h>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <vector>

#include "core/base/clock.h"
#include "core/http/probes.h"
#include "core/metrics/endpoint.h"
#include "server/api/call.h"
#include "server/api/metrics.h"
#include "server/api/watch_hub.h"
#include "server/coordinator/config.h"
#include "server/state/store.h"

namespace ft::coordinator {

class Coordinator {
 public:
  explicit Coordinator(Config config) : config_(std::move(config)) {}
  ~Coordinator() { Stop(); }
  // One clear sentence when an address is in use or another coordinator holds the folder.
  Status Start();
  void Stop();
  const Config& config() const { return config_; }

 private:
  // Opens the metrics endpoint, and refuses what cannot be listened on.
  Status CheckAddresses();
  // Credentials of the TCP ports, when the configuration names a certificate.
  Status OpenTls();
  // /livez and /readyz. REQUIRES: the loop runs.
  Status StartProbes();
  void BuildServices();
  Status Serve();
  void Housekeep();
  void WakeBackedOff();
  void SweepFiles();
  void RemoveOrphanFiles();

  Config config_;
  SystemClock clock_;
  api::Metrics metrics_;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<spool::Spool> spool_;
  std::unique_ptr<state::StateLoop> loop_;
  std::unique_ptr<fleet::Fleet> fleet_;
  std::unique_ptr<api::WatchHub> hub_;
  api::DiskTrouble disk_;
  std::unique_ptr<api::Backend> backend_;
  std::vector<std::unique_ptr<grpc::Service>> user_services_;
  std::unique_ptr<grpc::Service> worker_service_;
  std::shared_ptr<grpc::ServerCredentials> user_tls_, worker_tls_;
  std::unique_ptr<grpc::Server> user_server_;
  std::unique_ptr<grpc::Server> worker_server_;
  std::unique_ptr<metrics::Endpoint> metrics_endpoint_;
  std::unique_ptr<http::Probes> probes_;
  std::unique_ptr<boost::asio::steady_timer> timer_;
  int64_t ticks_ = 0;
};

}  // namespace ft::coordinator
