"""A front end written for Simple JWT, with only the standard library. Its arguments are the server and a path that
requires an access token; it reads a name and a password from standard input, and prints each step as a line of JSON."""

import json
import sys
import urllib.error
import urllib.request

server, guarded = sys.argv[1:]
username, password = json.load(sys.stdin)


def call(step, method, path, body=None, bearer=None):
    headers = {"Content-Type": "application/json"}
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            status, said = answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        status, said = error.code, json.load(error)
    print(json.dumps({"step": step, "status": status, "members": list(said), "code": said.get("code"), "detail": said.get("detail")}))
    return said


call("a wrong password", "POST", "/api/token/", {"username": username, "password": "not it"})
first = call("sign in", "POST", "/api/token/", {"username": username, "password": password})
call("call", "GET", guarded, bearer=first["access"])
call("call with the refresh token", "GET", guarded, bearer=first["refresh"])
call("call without a token", "GET", guarded)
call("verify the access token", "POST", "/api/token/verify/", {"token": first["access"]})
call("verify the refresh token", "POST", "/api/token/verify/", {"token": first["refresh"]})
call("verify no token", "POST", "/api/token/verify/", {"token": "no.to.ken"})
second = call("refresh", "POST", "/api/token/refresh/", {"refresh": first["refresh"]})
call("call with the new token", "GET", guarded, bearer=second["access"])
call("refresh with the access token", "POST", "/api/token/refresh/", {"refresh": second["access"]})
third = call("refresh again", "POST", "/api/token/refresh/", {"refresh": second["refresh"]})
call("log out", "POST", "/api/logout/", {"refresh": third["refresh"]}, third["access"])
call("refresh after that", "POST", "/api/token/refresh/", {"refresh": third["refresh"]})
call("call after that", "GET", guarded, bearer=third["access"])

sliding = call("sign in, sliding", "POST", "/api/token/sliding/", {"username": username, "password": password})
call("verify the sliding token", "POST", "/api/token/verify/", {"token": sliding["token"]})
renewed = call("renew it", "POST", "/api/token/sliding/refresh/", {"token": sliding["token"]})
call("renew the renewed one", "POST", "/api/token/sliding/refresh/", {"token": renewed["token"]})
call("refresh with it", "POST", "/api/token/refresh/", {"refresh": renewed["token"]})
