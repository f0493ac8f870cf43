/* tank-websocket, MIT License, (c) 2026 The tank authors */
