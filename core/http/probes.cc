#include "core/http/probes.h"

namespace ft::http {

Page LivePage(const std::map<std::string, absl::Duration>& turned, absl::Duration now) {
  for (const auto& [name, at] : turned) {
    if (now - at > kTurnLimit)
      return {503, StrCat(name, " has not turned for ",
                          absl::FormatDuration(absl::Floor(now - at, absl::Seconds(1))), "\n")};
  }
  return {200, "live\n"};
}

StatusOr<std::unique_ptr<Probes>> Probes::Start(const std::string& address, const Clock& clock,
                                                std::map<std::string, const Heartbeat*> loops) {
  auto probes = std::make_unique<Probes>();
  std::map<std::string, Handler> pages;
  pages["/livez"] = [&clock, loops = std::move(loops)] {
    std::map<std::string, absl::Duration> turned;
    for (const auto& [name, heartbeat] : loops) turned[name] = heartbeat->at();
    return LivePage(turned, clock.BootTime());
  };
  pages["/readyz"] = [probes = probes.get()] { return probes->Ready(); };
  auto server = HttpServer::Start(address, std::move(pages));
  if (!server.ok()) {
    return absl::UnavailableError(
        StrCat("cannot serve probes on ", address,
               ": stop the program that holds the port, or set probes to another address or 0"));
  }
  probes->server_ = *std::move(server);
  return probes;
}

void Probes::SetReady(bool ready, const std::string& why_not) {
  std::lock_guard lock(mutex_);
  ready_ = ready;
  why_not_ = why_not;
}

Page Probes::Ready() const {
  std::lock_guard lock(mutex_);
  return ready_ ? Page{200, "ready\n"} : Page{503, why_not_ + "\n"};
}

}  // namespace ft::http
