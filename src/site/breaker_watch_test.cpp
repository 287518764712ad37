#include "site/breaker_watch.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

TEST(BreakerWatch, SaysSinceWhenACandidateFails) {
  Router router{RouterOptions{}};
  BreakerWatch watch{router};
  Instant now{seconds{100}};
  const CandidateId id{SiteId{"metro-a"}, EngineId{"e"}, ModelId{"m"}};
  CandidateState state;
  state.id = id;
  state.healthy = true;
  state.load.slots = 4;
  ASSERT_TRUE(router.update(state, now));
  const std::vector<CandidateId> all{id, {SiteId{"gone"}, EngineId{}, ModelId{"m"}}};
  ASSERT_EQ(watch.look(all, now).size(), 1U) << "what the router does not know is left out";
  EXPECT_EQ(watch.look(all, now)[0].state, BreakerState::Closed);

  RouteRequest request;
  request.model = ModelId{"m"};
  const auto fail = [&] {
    AttemptOutcome outcome;
    outcome.kind = AttemptOutcome::Kind::Failed;
    router.finished(router.started(*router.find(id), request, now), outcome, now);
  };
  for (int i = 0; i < 3; ++i) fail();
  now += seconds{1};
  EXPECT_EQ(watch.look(all, now)[0].state, BreakerState::Open);
  const Instant noticed = now;
  now += seconds{5};
  EXPECT_EQ(watch.look(all, now)[0].state, BreakerState::HalfOpen);
  EXPECT_EQ(watch.look(all, now)[0].since, noticed);
  const AttemptTicket probe = router.started(*router.find(id), request, now);
  router.first_token(probe, now);
  EXPECT_EQ(watch.look(all, now)[0].state, BreakerState::Closed);
  EXPECT_EQ(watch.look(all, now)[0].since, Instant{});
}

}  // namespace
}  // namespace perigee
