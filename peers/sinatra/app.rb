# The lab's contract on Sinatra with a Rack session in Redis or Memcached, written as their READMEs have it.
require 'json'
require 'sinatra/base'

class App < Sinatra::Base
  store = URI(ENV.fetch('STORE_URL'))
  if store.scheme == 'redis'
    require 'redis-rack'
    use Rack::Session::Redis, redis_server: "#{store}/0/rack:session"
  else
    require 'rack/session/dalli'
    use Rack::Session::Dalli, memcache_server: "#{store.host}:#{store.port}"
  end

  get '/healthz' do
    200
  end

  get '/api/session' do
    content_type :json
    { user: session[:user], visits: session[:visits], cart: session[:cart] }.to_json
  end

  post '/api/visits' do
    session[:visits] = (session[:visits] || 0) + 1
    200
  end

  post '/api/cart/:sku' do
    cart = session[:cart] || {}
    cart[params[:sku]] = (cart[params[:sku]] || 0) + params[:quantity].to_i
    session[:cart] = cart
    200
  end

  post '/login' do
    request.session_options[:renew] = true # as Warden does
    session[:user] = params[:user]
    200
  end

  post '/logout' do
    session.destroy
    200
  end
end
