%% SPDX-License-Identifier: MIT

%% The benchmark items in Erlang: processes with heaps of their own, which send each other copies. A mailbox has no bound and
%% nobody waits for his message to be taken, so items about that are left out, or do not count.
-module(bench).
-export([main/0]).

items() ->
    [{"yield", 10000000, fun yields/1},
     {"spawn_join", 1000000, fun spawn_join/1},
     {"spawn_seq", 1000000, fun spawn_seq/1},
     {"park1m", 1000000, fun park1m/1},
     {"pingpong", 2000000, fun pingpong/1},
     {"unbuffered", 2000000, fun(N) -> one_way("unbuffered", N) end},
     {"fanin100", 2000000, fun fanin100/1},
     {"fanin1m", 1000000, fun fanin1m/1},
     {"ring", 1000000, fun ring/1},
     {"skynet_buf", 1000000, fun skynet/1},
     {"select_default_empty", 50000000, fun select_default_empty/1},
     {"timers", 100000, fun timers/1},
     {"timer_churn", 2000000, fun timer_churn/1},
     {"sleep1ms", 1000, fun sleep1ms/1},
     {"idle", 3000, fun idle/1},
     {"wakeup_parallel10us", 50000, fun wakeup_parallel10us/1},
     {"preempt", 200, fun preempt/1},
     {"tcp_echo", 200000, fun tcp_echo/1},
     {"tcp_conn_churn", 10000, fun tcp_conn_churn/1},
     {"http_hello", 5, fun(N) -> http("http_hello", 64, N) end},
     {"http_hello_1000", 5, fun(N) -> http("http_hello_1000", 1000, N) end}].

main() ->
    case init:get_plain_arguments() of
        ["--list"] ->
            [io:format("~s~n", [Name]) || {Name, _, _} <- items()],
            halt(0);
        [Name | Rest] ->
            case lists:keyfind(Name, 1, items()) of
                {_, Size, Run} -> start(Run, case Rest of [S] -> list_to_integer(S); [] -> Size end);
                false -> usage()
            end;
        _ -> usage()
    end.

usage() ->
    io:format(standard_error, "usage: erlang-bench ITEM [SIZE] | --list~n", []),
    halt(2).

%% A fresh process, like any other.
start(Run, Size) ->
    {_, M} = spawn_monitor(fun() -> Run(Size) end),
    receive
        {'DOWN', M, process, _, normal} -> halt(0);
        {'DOWN', M, process, _, Why} ->
            io:format(standard_error, "~p~n", [Why]),
            halt(1)
    end.

out(Name, Value, Unit) -> io:format("~s ~.3f ~s~n", [Name, float(Value), Unit]).

now_ns() -> erlang:monotonic_time(nanosecond).
ns(Since, N) -> (now_ns() - Since) / N.
ms(Since) -> (now_ns() - Since) / 1.0e6.

times(0, _) -> ok;
times(N, F) -> F(), times(N - 1, F).

sum_below(N) -> N * (N - 1) div 2.

%% Bytes resident, page tables included.
rss() ->
    Lines = os:cmd("grep -E '^Vm(RSS|PTE):' /proc/" ++ os:getpid() ++ "/status"),
    1024 * lists:sum([list_to_integer(W) || W <- string:lexemes(Lines, " \t\n"), W >= "0", W =< "99999999999"]).

%% --- processes ---

yields(N) ->
    T = now_ns(),
    Each = fun() -> times(N div 2, fun erlang:yield/0) end,
    Ms = [element(2, spawn_monitor(Each)) || _ <- [1, 2]],
    await(Ms),
    out("yield", ns(T, N), "ns/switch").

await(Ms) -> [receive {'DOWN', M, process, _, _} -> ok end || M <- Ms].

spawn_join(N) ->
    T = now_ns(),
    Self = self(),
    times(N div 1000, fun() ->
        times(1000, fun() -> spawn(fun() -> Self ! done end) end),
        times(1000, fun() -> receive done -> ok end end)
    end),
    out("spawn_join", ns(T, N div 1000 * 1000), "ns/goroutine").

spawn_seq(N) ->
    T = now_ns(),
    Self = self(),
    times(N, fun() ->
        spawn(fun() -> Self ! done end),
        receive done -> ok end
    end),
    out("spawn_seq", ns(T, N), "ns/goroutine").

%% Nothing like the close of a channel wakes them all: each is sent a message.
park1m(N) ->
    Self = self(),
    Before = rss(),
    T = now_ns(),
    All = [spawn(fun() -> Self ! ready, receive open -> Self ! gone end end) || _ <- lists:seq(1, N)],
    times(N, fun() -> receive ready -> ok end end),
    Made = ms(T),
    After = rss(),
    T2 = now_ns(),
    [P ! open || P <- All],
    times(N, fun() -> receive gone -> ok end end),
    Released = ms(T2),
    out("park1m_bytes", (After - Before) / N, "B/goroutine"),
    out("park1m_create", Made, "ms"),
    out("park1m_release", Released, "ms").

%% --- messages ---

echo() ->
    receive
        {From, V} -> From ! V, echo();
        stop -> ok
    end.

pingpong(N) ->
    Echo = spawn(fun echo/0),
    T = now_ns(),
    Sum = ping(Echo, 0, N, 0),
    Each = ns(T, N),
    Echo ! stop,
    Sum = sum_below(N),
    out("pingpong", Each, "ns/roundtrip").

ping(_, N, N, Sum) -> Sum;
ping(Echo, I, N, Sum) ->
    Echo ! {self(), I},
    receive V when is_integer(V) -> ping(Echo, I + 1, N, Sum + V) end.

send_n(_, N, N) -> ok;
send_n(To, I, N) -> To ! I, send_n(To, I + 1, N).

receive_n(0, Sum) -> Sum;
receive_n(N, Sum) -> receive V -> receive_n(N - 1, Sum + V) end.

one_way(Name, N) ->
    Self = self(),
    T = now_ns(),
    spawn(fun() -> send_n(Self, 0, N) end),
    Sum = receive_n(N, 0),
    Sum = sum_below(N),
    out(Name, ns(T, N), "ns/item").

fanin100(N) ->
    Self = self(),
    Each = N div 100,
    [spawn(fun() -> send_n(Self, 0, Each) end) || _ <- lists:seq(1, 100)],
    T = now_ns(),
    Sum = receive_n(100 * Each, 0),
    Sum = 100 * sum_below(Each),
    out("fanin100", ns(T, 100 * Each), "ns/msg").

fanin1m(N) ->
    Self = self(),
    T = now_ns(),
    times(N, fun() -> spawn(fun() -> Self ! 1 end) end),
    N = receive_n(N, 0),
    out("fanin1m", ms(T), "ms").

hop(Next) -> receive V -> Next ! V + 1, hop(Next) end.

ring(N) ->
    First = lists:foldl(fun(_, Next) -> spawn(fun() -> hop(Next) end) end, self(), lists:seq(1, 999)),
    T = now_ns(),
    Hops = laps(First, 0, 0, N),
    out("ring", ns(T, Hops), "ns/hop").

laps(_, V, Hops, N) when Hops >= N -> V = Hops;
laps(First, V, Hops, N) ->
    First ! V,
    receive W -> laps(First, W + 1, Hops + 1000, N) end.

skynet(N) ->
    Self = self(),
    T = now_ns(),
    spawn(fun() -> node(Self, 0, N) end),
    Sum = receive V -> V end,
    Sum = sum_below(N),
    out("skynet_buf", ms(T), "ms"),
    Peak = os:cmd("awk '/^VmHWM:/ { print $2 }' /proc/" ++ os:getpid() ++ "/status"),
    out("skynet_buf_maxrss", list_to_integer(string:trim(Peak)) / 1024, "MiB").

node(Up, Num, 1) -> Up ! Num;
node(Up, Num, Size) ->
    Self = self(),
    Part = Size div 10,
    [spawn(fun() -> node(Self, Num + I * Part, Part) end) || I <- lists:seq(0, 9)],
    Up ! receive_n(10, 0).

select_default_empty(N) ->
    T = now_ns(),
    times(N, fun() -> receive _ -> exit(something_came) after 0 -> ok end end),
    out("select_default_empty", ns(T, N), "ns/op").

%% --- time ---

timers(N) ->
    Self = self(),
    rand:seed(exsss, 42),
    Naps = [rand:uniform(100) || _ <- lists:seq(1, N)],
    T = now_ns(),
    [spawn(fun() ->
        T1 = now_ns(),
        receive after D -> ok end,
        Self ! now_ns() - T1 - D * 1000000
    end) || D <- Naps],
    Late = receive_n(N, 0),
    out("timers_total", ms(T), "ms"),
    out("timers_late_mean", Late / N / 1000, "us").

timer_churn(N) ->
    T = now_ns(),
    times(N, fun() ->
        Left = erlang:cancel_timer(erlang:start_timer(3600000, self(), fired)),
        true = is_integer(Left)
    end),
    out("timer_churn", ns(T, N), "ns/create+stop").

lateness(N, Scale) ->
    lists:sort([begin
        T = now_ns(),
        receive after 1 -> ok end,
        (now_ns() - T - 1000000) / Scale
    end || _ <- lists:seq(1, N)]).

sleep1ms(N) ->
    Late = lateness(N, 1000),
    out("sleep1ms_late_p50", lists:nth(N div 2 + 1, Late), "us"),
    out("sleep1ms_late_p99", lists:nth(N * 99 div 100 + 1, Late), "us").

loop(Flag) ->
    case atomics:get(Flag, 1) of
        0 -> loop(Flag);
        _ -> ok
    end.

preempt(N) ->
    Late = lists:sort([begin
        Flag = atomics:new(1, []),
        spawn(fun() -> loop(Flag) end),
        erlang:yield(),
        [L] = lateness(1, 1000000),
        atomics:put(Flag, 1, 1),
        receive after 1 -> ok end,
        L
    end || _ <- lists:seq(1, N)]),
    out("preempt_late_p50", lists:nth(N div 2 + 1, Late), "ms"),
    out("preempt_late_p99", lists:nth(N * 99 div 100 + 1, Late), "ms"),
    out("preempt_late_max", lists:last(Late), "ms").

used() ->
    Tasks = "/proc/" ++ os:getpid() ++ "/task/*/",
    Number = fun(Command) -> list_to_integer(string:trim(os:cmd(Command))) end,
    {Number("cat " ++ Tasks ++ "schedstat | awk '{ s += $1 } END { printf \"%d\", s / 1000 }'"),
     Number("cat " ++ Tasks ++ "status | awk '/^voluntary/ { s += $2 } END { print s }'")}.

tick() -> receive after 100 -> tick() end.

idle(Span) ->
    times(1000, fun() -> spawn(fun() -> receive never -> ok end end) end),
    spawn(fun() ->
        {ok, L} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
        gen_tcp:accept(L)
    end),
    spawn(fun tick/0),
    receive after 500 -> ok end,
    {Us, Switches} = used(),
    T = now_ns(),
    receive after Span -> ok end,
    S = (now_ns() - T) / 1.0e9,
    {Us2, Switches2} = used(),
    out("idle_cpu", (Us2 - Us) / S, "us/s"),
    out("idle_ctxsw", (Switches2 - Switches) / S, "1/s"),
    out("idle_rss", rss() / 1024, "KiB").

compute(Us) -> compute_until(now_ns() + Us * 1000).
compute_until(End) ->
    case now_ns() < End of
        true -> compute_until(End);
        false -> ok
    end.

wakeup_parallel10us(N) ->
    Self = self(),
    T = now_ns(),
    First = spawn(fun() ->
        Other = receive {other, P} -> P end,
        times(N, fun() ->
            compute(15), Other ! a,
            compute(10), receive b -> ok end
        end),
        Self ! done
    end),
    Second = spawn(fun() ->
        times(N, fun() ->
            compute(10), receive a -> ok end,
            compute(15), First ! b
        end),
        Self ! done
    end),
    First ! {other, Second},
    receive done -> ok end,
    receive done -> ok end,
    out("wakeup_parallel10us", ns(T, N) / 1000, "us/iteration").

%% --- TCP and HTTP ---

-define(OPTIONS, [binary, {active, false}, {nodelay, true}, {packet, raw}]).

accepts(L, Serve) ->
    {ok, C} = gen_tcp:accept(L),
    P = spawn(fun() -> receive go -> Serve(C) end end),
    ok = gen_tcp:controlling_process(C, P),
    P ! go,
    accepts(L, Serve).

%% The port; the listener lives as long as the process that accepts.
serve(Serve) ->
    Self = self(),
    spawn(fun() ->
        {ok, L} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}, {backlog, 1024} | ?OPTIONS]),
        {ok, Port} = inet:port(L),
        Self ! {port, Port},
        accepts(L, Serve)
    end),
    receive {port, Port} -> Port end.

dial(Port) ->
    {ok, C} = gen_tcp:connect({127, 0, 0, 1}, Port, ?OPTIONS),
    C.

echoes(C) ->
    case gen_tcp:recv(C, 0) of
        {ok, B} ->
            ok = gen_tcp:send(C, B),
            echoes(C);
        _ -> gen_tcp:close(C)
    end.

tcp_echo(N) ->
    Port = serve(fun echoes/1),
    Self = self(),
    Each = N div 64,
    All = [spawn(fun() ->
        C = dial(Port),
        Self ! ready,
        receive go -> ok end,
        times(Each, fun() ->
            ok = gen_tcp:send(C, <<0:512>>),
            {ok, _} = gen_tcp:recv(C, 64)
        end),
        Self ! done
    end) || _ <- lists:seq(1, 64)],
    times(64, fun() -> receive ready -> ok end end),
    T = now_ns(),
    [P ! go || P <- All],
    times(64, fun() -> receive done -> ok end end),
    out("tcp_echo", 64 * Each / ((now_ns() - T) / 1.0e9), "msg/s").

answers(C) ->
    case gen_tcp:recv(C, 0) of
        {ok, B} -> gen_tcp:send(C, B);
        _ -> ok
    end,
    gen_tcp:recv(C, 0),
    gen_tcp:close(C).

tcp_conn_churn(N) ->
    Port = serve(fun answers/1),
    Self = self(),
    Each = N div 8,
    T = now_ns(),
    times(8, fun() ->
        spawn(fun() ->
            times(Each, fun() ->
                C = dial(Port),
                ok = gen_tcp:send(C, <<0:512>>),
                {ok, _} = gen_tcp:recv(C, 64),
                ok = inet:setopts(C, [{linger, {true, 0}}]),
                gen_tcp:close(C)
            end),
            Self ! done
        end)
    end),
    times(8, fun() -> receive done -> ok end end),
    out("tcp_conn_churn", 8 * Each / ((now_ns() - T) / 1.0e9), "conn/s").

-define(HELLO, <<"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: text/plain\r\n\r\nhello world">>).

greets(C, Had) ->
    case gen_tcp:recv(C, 0) of
        {ok, B} ->
            Parts = binary:split(<<Had/binary, B/binary>>, <<"\r\n\r\n">>, [global]),
            [ok = gen_tcp:send(C, ?HELLO) || _ <- tl(Parts)],
            greets(C, lists:last(Parts));
        _ -> gen_tcp:close(C)
    end.

http(Name, Connections, Seconds) ->
    Port = serve(fun(C) -> greets(C, <<>>) end),
    Said = os:cmd(io_lib:format("wrk -t1 -c~b -d~bs http://127.0.0.1:~b/", [Connections, Seconds, Port])),
    nomatch = string:find(Said, "Socket errors"),
    nomatch = string:find(Said, "Non-2xx"),
    {match, [Rate]} = re:run(Said, "Requests/sec: +([0-9.]+)", [{capture, [1], list}]),
    out(Name, list_to_float(Rate), "req/s").
