<?php
// The lab's contract on PHP's own sessions, written as the manual has them. Where sessions are kept is a matter of php.ini.

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/healthz') {
    exit;
}

session_start();
header('Content-Type: application/json');

switch (true) {
    case $path === '/api/session':
        echo json_encode([
            'user' => $_SESSION['user'] ?? '',
            'visits' => $_SESSION['visits'] ?? 0,
            'cart' => (object) ($_SESSION['cart'] ?? []),
        ]);
        break;
    case $path === '/api/visits':
        $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
        echo json_encode(['visits' => $_SESSION['visits']]);
        break;
    case str_starts_with($path, '/api/cart/'):
        $sku = basename($path);
        $_SESSION['cart'][$sku] = ($_SESSION['cart'][$sku] ?? 0) + (int) $_POST['quantity'];
        echo json_encode(['cart' => $_SESSION['cart']]);
        break;
    case $path === '/login':
        session_regenerate_id();
        $_SESSION['user'] = $_POST['user'];
        break;
    case $path === '/logout': // as the manual's example of session_destroy
        $_SESSION = [];
        $params = session_get_cookie_params();
        setcookie(session_name(), '', time() - 42000, $params['path'], $params['domain'], $params['secure'], $params['httponly']);
        session_destroy();
        break;
    default:
        http_response_code(404);
}
